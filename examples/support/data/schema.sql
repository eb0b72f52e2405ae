-- Tables of the shop. `effects` holds the result of every effect by its idempotency key.
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE products (sku TEXT PRIMARY KEY, name TEXT NOT NULL, price_cents INTEGER NOT NULL, stock INTEGER NOT NULL, restock_on TEXT);
CREATE TABLE orders (id TEXT PRIMARY KEY, email TEXT NOT NULL, status TEXT NOT NULL, total_cents INTEGER NOT NULL, body TEXT NOT NULL);
CREATE INDEX orders_by_email ON orders (email);
CREATE TABLE effects (key TEXT PRIMARY KEY, tool TEXT NOT NULL, arguments TEXT NOT NULL, result TEXT NOT NULL);
CREATE TABLE refunds (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, order_id TEXT NOT NULL REFERENCES orders (id),
                      amount_cents INTEGER NOT NULL CHECK (amount_cents > 0), reason TEXT NOT NULL, state TEXT NOT NULL);
CREATE UNIQUE INDEX one_refund_per_order ON refunds (order_id) WHERE state = 'paid';
CREATE TABLE returns (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, order_id TEXT NOT NULL REFERENCES orders (id), state TEXT NOT NULL);
CREATE TABLE tickets (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, subject TEXT NOT NULL, body TEXT NOT NULL,
                      priority TEXT NOT NULL, state TEXT NOT NULL);
CREATE TABLE mails (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, order_id TEXT NOT NULL, recipient TEXT NOT NULL);
-- An order with what has been paid back, what it waits for, and the shop's date.
CREATE VIEW order_seen AS
SELECT id, email, status, total_cents, body,
       json_extract(body, '$.refunded_cents')
         + coalesce((SELECT sum(amount_cents) FROM refunds WHERE order_id = orders.id AND state = 'paid'), 0) AS refunded_cents,
       (SELECT json_group_array(name || ' (back around ' || restock_on || ')') FROM products
        WHERE stock = 0 AND restock_on IS NOT NULL
          AND sku IN (SELECT value ->> 'sku' FROM json_each(orders.body, '$.items'))) AS backordered,
       (SELECT value FROM meta WHERE key = 'as_of') AS today
FROM orders;
