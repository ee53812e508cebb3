// Sends each visitor to one of two variants of a page, always the same one: the choice stands in a cookie.
const VARIANTS = ["control", "challenger"];

function variantOf(request) {
  const cookie = request.headers.get("cookie") ?? "";
  const kept = /(?:^|;\s*)variant=(\w+)/.exec(cookie)?.[1];
  return VARIANTS.includes(kept) ? kept : undefined;
}

export default {
  async fetch(request, env) {
    const kept = variantOf(request);
    const share = Number(env.CHALLENGER_SHARE ?? 0.5);
    const variant = kept ?? VARIANTS[Math.random() < share ? 1 : 0];
    let answer;
    if (env.ORIGIN) {
      const url = new URL(request.url);
      answer = await fetch(new URL(`/${variant}${url.pathname}${url.search}`, env.ORIGIN), request);
      answer = new Response(answer.body, answer);
    } else {
      answer = new Response(`This is the ${variant}.\n`);
    }
    if (!kept) answer.headers.append("set-cookie", `variant=${variant}; Path=/; Max-Age=604800; SameSite=Lax`);
    answer.headers.append("vary", "cookie");
    return answer;
  },
};
