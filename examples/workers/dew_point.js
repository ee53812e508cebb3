// A function of a rule that SQL has not: rules call `event` with what they select, here the temperature (°C) and the relative
// humidity (%) of a room, and the dew point of each is posted to env.SINK, which may be a node's POST /v1/events:
//
//   [[rule]]
//   name = "dew point"
//   sql = "SELECT room, temperature, humidity FROM 'rooms/+'"
//   do = [{ worker = "dew_point" }]
//
// compatibility_date = "2026-11-30"

// The Magnus formula, over water.
function dewPoint(temperature, humidity) {
  const [b, c] = [17.625, 243.04];
  const gamma = Math.log(humidity / 100) + (b * temperature) / (c + temperature);
  return (c * gamma) / (b - gamma);
}

export default {
  async event(batch, env) {
    const found = [];
    for (const message of batch) {
      const { room, temperature, humidity } = message.json();
      if (!(humidity > 0 && humidity <= 100) || !(temperature > -60)) {
        console.warn(`${message.topic}: ${temperature} °C at ${humidity} % is no air`);
        continue;
      }
      found.push({ room, at: message.time.toISOString(), dew_point: Math.round(dewPoint(temperature, humidity) * 10) / 10 });
    }
    if (found.length > 0) await fetch(env.SINK, { method: "POST", body: JSON.stringify(found) });
  },
};
