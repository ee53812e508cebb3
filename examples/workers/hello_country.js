// Greets visitors by where they are. The node knows it where workers.geo_file names a file of locations, and
// `verge worker serve` with --geo; otherwise request.cf is undefined.
//
// compatibility_date = "2026-11-30"
const GREETINGS = { DE: "Hallo", FR: "Bonjour", JP: "こんにちは", SE: "Hej", US: "Hello" };

export default {
  fetch(request) {
    const { country, city } = request.cf ?? {};
    const greeting = GREETINGS[country] ?? "Hello";
    const place = city ?? country ?? "somewhere";
    // It depends on who asks: no cache may give it to others.
    return new Response(`${greeting}, ${place}!\n`, { headers: { "cache-control": "private, no-store" } });
  },
};
