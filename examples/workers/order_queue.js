// Orders are taken at once and worked on later: POST /orders sends one to the queue env.ORDERS, which is durable when the
// client is told 202; `queue` is given them in batches and counts them in env.STOCK; GET /orders/ARTICLE says how many.
//
//     [[queue]]
//     name = "orders"
//
//     [[worker]]
//     name = "orders"
//     file = "order_queue.js"
//     routes = ["shop.example/orders*"]
//     queues = { ORDERS = "orders" }
//     consumes = ["orders"]
//     kv = { STOCK = "stock" }
const isOrder = (order) => typeof order?.article === "string" && order.article !== "" && Number.isInteger(order.count) && order.count > 0;

export default {
  async fetch(request, env) {
    if (request.method === "POST") {
      const order = await request.json().catch(() => null);
      if (!isOrder(order)) return new Response('Send {"article": "tea", "count": 2}\n', { status: 400 });
      await env.ORDERS.send(order);
      return new Response("Thank you\n", { status: 202 });
    }
    const article = decodeURIComponent(new URL(request.url).pathname.slice("/orders/".length));
    const known = article === "" ? null : await env.STOCK.get(article, "json");
    return Response.json({ article, ordered: known?.ordered ?? 0 });
  },

  async queue(batch, env) {
    for (const message of batch.messages) {
      const { article, count } = message.body;
      const known = (await env.STOCK.get(article, "json")) ?? { ordered: 0, last: "" };
      // A message may come twice. Ids rise, and this queue's batches come one after the other.
      if (message.id > known.last) {
        await env.STOCK.put(article, JSON.stringify({ ordered: known.ordered + count, last: message.id }));
      }
      message.ack();
    }
  },
};
