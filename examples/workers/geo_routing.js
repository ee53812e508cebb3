// Sends each request to the nearest of some origins: env.ORIGINS is JSON such as
// [{"url": "http://fra.example", "latitude": 50.1, "longitude": 8.7}, …]; where nobody knows where the visitor is, to the
// first.
//
// compatibility_date = "2026-11-30"
const radians = (degrees) => (degrees * Math.PI) / 180;

// Along the surface, in kilometres (the haversine formula).
function distance(a, b) {
  const latitude = radians(b.latitude - a.latitude);
  const longitude = radians(b.longitude - a.longitude);
  const chord =
    Math.sin(latitude / 2) ** 2 +
    Math.cos(radians(a.latitude)) * Math.cos(radians(b.latitude)) * Math.sin(longitude / 2) ** 2;
  return 2 * 6371 * Math.asin(Math.sqrt(chord));
}

export default {
  async fetch(request, env) {
    const origins = JSON.parse(env.ORIGINS);
    const { latitude, longitude } = request.cf ?? {};
    let nearest = origins[0];
    if (latitude !== undefined) {
      const visitor = { latitude: Number(latitude), longitude: Number(longitude) };
      nearest = origins.reduce((best, one) => (distance(visitor, one) < distance(visitor, best) ? one : best));
    }
    const { pathname, search } = new URL(request.url);
    const answer = await fetch(new URL(pathname + search, nearest.url), request);
    const routed = new Response(answer.body, answer);
    routed.headers.set("x-origin", nearest.url);
    routed.headers.set("cache-control", "private, no-store");
    return routed;
  },
};
