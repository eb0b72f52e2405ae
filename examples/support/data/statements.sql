-- What the tools may say to the shop's database, word for word; tools.py lists which tool may say what. The tools run in the sandbox, the
-- statements outside. `:ctx_…` (the call's key, its tool) and `:call_…` (the call's checked arguments) are bound by Interlock, whatever a tool
-- says: so a tool, or whoever took it over, can act on the order, the amount and the address of its own call, and on no others.

-- name: order
SELECT * FROM order_seen WHERE id = :id AND (:call_email IS NULL OR email = lower(trim(:call_email)));

-- name: order_exists
SELECT id FROM orders WHERE id = :id;

-- name: orders_of_customer
SELECT * FROM order_seen WHERE email = lower(trim(:call_email)) ORDER BY id DESC LIMIT 10;

-- name: order_named
-- The order that the call names, in whatever words.
SELECT * FROM order_seen WHERE id = :id AND instr(:call_order_id, substr(id, 4));

-- name: products
SELECT sku, name, price_cents, stock, restock_on FROM products ORDER BY sku;

-- name: done_before
SELECT tool, arguments, result FROM effects WHERE key = :ctx_key;

-- name: done_now
INSERT INTO effects (key, tool, arguments, result) VALUES (:ctx_key, :ctx_tool, :arguments, :result);

-- name: refund
-- The amount of the call, at most what the order cost, for an order that was charged; the schema allows one per order.
INSERT INTO refunds (key, order_id, amount_cents, reason, state)
SELECT :ctx_key, id, CAST(round(:call_amount_usd * 100) AS INTEGER), :call_reason, 'paid' FROM orders
WHERE id = :id AND instr(:call_order_id, substr(id, 4)) AND status NOT IN ('processing', 'cancelled')
  AND round(:call_amount_usd * 100) BETWEEN 1 AND total_cents
RETURNING id;

-- name: refund_reverse
UPDATE refunds SET state = 'reversed' WHERE 'RF-' || id = :call_refund_id RETURNING id;

-- name: order_cancel
UPDATE orders SET status = 'cancelled'
WHERE id = :id AND instr(:call_order_id, substr(id, 4)) AND status = 'processing' RETURNING id;

-- name: order_reopen
UPDATE orders SET status = 'processing'
WHERE id = :id AND instr(:call_order_id, substr(id, 4)) AND status IN ('cancelled', 'processing') RETURNING id;

-- name: return_open
SELECT id FROM returns WHERE order_id = :id AND state = 'open';

-- name: return_create
INSERT INTO returns (key, order_id, state)
SELECT :ctx_key, id, 'open' FROM orders WHERE id = :id AND instr(:call_order_id, substr(id, 4)) AND status = 'delivered' RETURNING id;

-- name: return_close
UPDATE returns SET state = 'closed' WHERE 'RT-' || id = :call_return_id RETURNING id;

-- name: mail_label
-- To the address of the order, never to one from a text.
INSERT INTO mails (key, kind, order_id, recipient)
SELECT :ctx_key, 'return label', id, email FROM orders WHERE id = :id AND instr(:call_order_id, substr(id, 4));

-- name: mail_invoice
INSERT INTO mails (key, kind, order_id, recipient)
SELECT :ctx_key, 'invoice', id, email FROM orders WHERE id = :id AND instr(:call_order_id, substr(id, 4));

-- name: ticket_create
INSERT INTO tickets (key, subject, body, priority, state) VALUES (:ctx_key, :call_subject, :call_body, :call_priority, 'open') RETURNING id;

-- name: ticket_close
UPDATE tickets SET state = 'closed' WHERE 'TK-' || id = :call_ticket_id RETURNING id;
