// Answers every request, with a counter that is this isolate's own.
let count = 0;

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    return new Response(`Hello ${env.NAME ?? "world"}, from ${pathname}; call ${++count}\n`);
  },
};
