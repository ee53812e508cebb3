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
// A message may come twice, and what failed comes after others that were sent later: so the ids of the last orders of an
// article are kept beside its sum, in one value. That suffices while fewer of them come between two deliveries of one message
// (max_retries of the queue, retry_delay apart) than are kept. Two batches at a time would overwrite each other's sums:
// max_concurrency of the queue stays 1.
const kIdsKept = 1000;

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
      const { ordered, ids } = (await env.STOCK.get(article, "json")) ?? { ordered: 0, ids: [] };
      if (!ids.includes(message.id)) {
        await env.STOCK.put(article, JSON.stringify({ ordered: ordered + count, ids: [...ids, message.id].slice(-kIdsKept) }));
      }
      message.ack();
    }
  },
};
