// Edits the pages of an origin (env.ORIGIN) as they stream by: links go to this host, images load when they are seen, scripts of
// others are taken out, and a line is added at the end of the body. What is no HTML passes as it is.
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const origin = new URL(env.ORIGIN);
    const answer = await fetch(new URL(url.pathname + url.search, origin), request);
    if (!answer.headers.get("content-type")?.startsWith("text/html")) return answer;
    let removed = 0;
    return new HTMLRewriter()
      .on("a[href]", {
        element(link) {
          const target = new URL(link.getAttribute("href"), origin);
          if (target.origin === origin.origin) link.setAttribute("href", target.pathname + target.search + target.hash);
          else link.setAttribute("rel", "noopener");
        },
      })
      .on("img:not([loading])", { element(image) { image.setAttribute("loading", "lazy"); } })
      .on("script[src^='http']", {
        element(script) {
          if (new URL(script.getAttribute("src")).origin === origin.origin) return;
          script.remove();
          ++removed;
        },
      })
      .on("body", {
        element(body) {
          body.onEndTag((end) => { end.before(`<footer>${removed} scripts removed</footer>`, { html: true }); });
        },
      })
      .transform(answer);
  },
};
