// Edits the pages of an origin (env.ORIGIN) as they stream by: links to it go to this host, images load when they are seen,
// scripts of others are taken out, and a line is added at the end of the body. What is no HTML passes as it is.

// The http or https URL that an attribute of a page names with its host; null for what is relative, of another scheme, or none:
// these mean the same here as there.
function absolute(text, page) {
  if (!/^\s*(https?:)?[\\/]{2}/i.test(text)) return null;
  try {
    return new URL(text, page);
  } catch {
    return null;
  }
}

export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const origin = new URL(env.ORIGIN);
    const page = new URL(url.pathname + url.search, origin);
    const answer = await fetch(page, request);
    if (!answer.headers.get("content-type")?.startsWith("text/html")) return answer;
    let removed = 0;
    const toHere = {
      element(link) {
        const target = absolute(link.getAttribute("href"), page);
        if (target === null) return;
        if (target.origin === origin.origin) link.setAttribute("href", target.pathname + target.search + target.hash);
        else if (link.tagName === "a") link.setAttribute("rel", "noopener");
      },
    };
    return new HTMLRewriter()
      .on("a[href]", toHere)
      .on("base[href]", toHere)
      .on("img:not([loading])", { element(image) { image.setAttribute("loading", "lazy"); } })
      .on("script[src]", {
        element(script) {
          const source = absolute(script.getAttribute("src"), page);
          if (source === null || source.origin === origin.origin) return;
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
