// A WebSocket that gives each message back; "time" is answered with the time, "bye" ends it.
//
// compatibility_date = "2026-11-30"
export default {
  fetch(request) {
    if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
      return new Response("This is a WebSocket.\n", { status: 426, headers: { upgrade: "websocket" } });
    }
    const { 0: client, 1: server } = new WebSocketPair();
    server.accept();
    server.addEventListener("message", ({ data }) => {
      if (data === "time") server.send(new Date().toISOString());
      else if (data === "bye") server.close(1000, "bye");
      else server.send(data);
    });
    return new Response(null, { status: 101, webSocket: client });
  },
};
