-- Ordinary analytics, one query per paragraph. Run as they stand against a database that holds nothing but what the tenant may see, and through
-- the tool against one that holds more: the answers are the same. `-- sqlite` or `-- postgres` before a query: that dialect alone.

SELECT * FROM orders ORDER BY id

SELECT id, status FROM orders WHERE total > 100 ORDER BY id

SELECT COUNT(*) FROM orders

SELECT COUNT(*) AS n, SUM(total) AS revenue, AVG(total) AS mean, MIN(total) AS low, MAX(total) AS high FROM orders

SELECT status, COUNT(*) AS n FROM orders GROUP BY status ORDER BY n DESC, status

SELECT status, COUNT(DISTINCT customer_id) AS buyers FROM orders GROUP BY status ORDER BY status

SELECT status, SUM(total) AS revenue FROM orders GROUP BY status HAVING SUM(total) > 3000 ORDER BY 2 DESC

SELECT c.country, SUM(o.total) AS revenue FROM orders o JOIN customers c ON c.id = o.customer_id GROUP BY c.country ORDER BY c.country

SELECT c.name, COUNT(o.id) AS orders FROM customers c LEFT JOIN orders o ON o.customer_id = c.id GROUP BY c.name ORDER BY c.name

SELECT o.id, c.name FROM orders AS o INNER JOIN customers AS c ON o.customer_id = c.id WHERE c.country = 'DE' ORDER BY o.id LIMIT 10

SELECT id FROM orders ORDER BY total DESC LIMIT 5 OFFSET 3

SELECT DISTINCT status FROM orders ORDER BY status

SELECT id FROM orders WHERE status IN ('open', 'lost') ORDER BY id

SELECT id FROM orders WHERE status NOT IN ('open', 'lost') ORDER BY id

SELECT id FROM orders WHERE total BETWEEN 100 AND 200 ORDER BY id

SELECT id FROM orders WHERE note IS NULL ORDER BY id

SELECT id FROM orders WHERE note IS NOT NULL AND NOT status = 'open' ORDER BY id

SELECT id, COALESCE(note, 'none') AS note FROM orders ORDER BY id

SELECT id FROM customers WHERE name LIKE 'Customer 1%' ORDER BY id

SELECT UPPER(status), LENGTH(status) FROM orders WHERE id = 1

SELECT id, CASE WHEN total > 300 THEN 'large' WHEN total > 100 THEN 'medium' ELSE 'small' END AS size FROM orders ORDER BY id

SELECT SUM(CASE WHEN status = 'lost' THEN total ELSE 0 END) AS lost FROM orders

SELECT ROUND(AVG(total), 2) FROM orders WHERE status = 'shipped'

SELECT customer_id, total FROM orders WHERE total = (SELECT MAX(total) FROM orders)

SELECT id FROM orders o WHERE total > (SELECT AVG(total) FROM orders i WHERE i.customer_id = o.customer_id) ORDER BY id

SELECT name FROM customers c WHERE EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id AND o.status = 'lost') ORDER BY name

SELECT name FROM customers c WHERE NOT EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id AND o.total > 500) ORDER BY name

SELECT name FROM customers WHERE id IN (SELECT customer_id FROM orders WHERE status = 'returned') ORDER BY name

SELECT t.status, t.n FROM (SELECT status, COUNT(*) AS n FROM orders GROUP BY status) AS t WHERE t.n > 10 ORDER BY t.status

WITH per_customer AS (SELECT customer_id, SUM(total) AS spent FROM orders GROUP BY customer_id) SELECT c.name, p.spent FROM per_customer p JOIN customers c ON c.id = p.customer_id ORDER BY p.spent DESC

WITH a AS (SELECT * FROM orders WHERE status = 'open'), b AS (SELECT * FROM a WHERE total > 100) SELECT COUNT(*) FROM b

-- postgres
WITH orders AS (SELECT * FROM orders WHERE total > 500) SELECT id FROM orders ORDER BY id

WITH a AS (WITH b AS (SELECT id FROM orders) SELECT id FROM b WHERE id < 5) SELECT id FROM a ORDER BY id

WITH t(x, y) AS (SELECT id, total FROM orders) SELECT x, y FROM t WHERE y > 550 ORDER BY x

SELECT id FROM orders WHERE status = 'open' UNION SELECT id FROM orders WHERE status = 'lost' ORDER BY id

SELECT country FROM customers UNION ALL SELECT status FROM orders WHERE id < 3 ORDER BY 1

SELECT customer_id FROM orders WHERE status = 'open' INTERSECT SELECT customer_id FROM orders WHERE status = 'lost' ORDER BY 1

SELECT id FROM customers EXCEPT SELECT customer_id FROM orders WHERE status = 'lost' ORDER BY 1

SELECT id, ROW_NUMBER() OVER (ORDER BY total DESC) AS place FROM orders ORDER BY place LIMIT 10

SELECT id, RANK() OVER (PARTITION BY status ORDER BY total DESC) AS place FROM orders ORDER BY status, place

SELECT id, SUM(total) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS moving FROM orders ORDER BY id

SELECT id, total - LAG(total) OVER (ORDER BY id) AS change FROM orders ORDER BY id

SELECT id, NTILE(4) OVER (ORDER BY total) AS quarter FROM orders ORDER BY id

SELECT id, FIRST_VALUE(id) OVER (PARTITION BY status ORDER BY total DESC) AS best FROM orders ORDER BY id

SELECT p.name, SUM(i.quantity) AS sold FROM items i JOIN products p ON p.sku = i.sku GROUP BY p.name ORDER BY sold DESC, p.name

SELECT p.name, SUM(i.quantity * p.price) AS revenue FROM items i JOIN products p USING (sku) GROUP BY p.name ORDER BY p.name

SELECT c.country, p.name, SUM(i.quantity) AS n FROM items i JOIN orders o ON o.id = i.order_id JOIN customers c ON c.id = o.customer_id JOIN products p ON p.sku = i.sku GROUP BY c.country, p.name ORDER BY c.country, p.name

SELECT a.id, b.id FROM orders a JOIN orders b ON a.customer_id = b.customer_id AND a.id < b.id WHERE a.status = 'lost' AND b.status = 'lost' ORDER BY a.id, b.id

SELECT COUNT(*) FROM orders a CROSS JOIN products b

SELECT COUNT(*) FROM orders, customers WHERE orders.customer_id = customers.id

SELECT total * 1.19 AS gross, -total AS negative, total / 2 AS half FROM orders WHERE id = 7

SELECT CAST(total AS INTEGER) AS whole FROM orders WHERE id = 3

SELECT id % 7 AS bucket, COUNT(*) FROM orders GROUP BY 1 ORDER BY 1

SELECT status || ': ' || COUNT(*) FROM orders GROUP BY status ORDER BY status

SELECT NULLIF(status, 'open') AS s, COUNT(*) FROM orders GROUP BY status ORDER BY status

SELECT SUBSTR(name, 1, 4) AS beginning, COUNT(*) FROM customers GROUP BY SUBSTR(name, 1, 4)

SELECT TRIM('  x  '), REPLACE('a-b', '-', '+'), ABS(-3)

SELECT COUNT(*) FILTER (WHERE status = 'open') AS open, COUNT(*) AS every FROM orders

SELECT 'it''s; -- no comment' AS text, id FROM orders WHERE id = 1

SELECT /* a remark */ id FROM orders -- another
WHERE id = 2

SELECT "id", "status" FROM "orders" WHERE "id" = 4

SELECT Id, STATUS FROM Orders WHERE ID = 4

SELECT o.* FROM orders o WHERE o.id < 4 ORDER BY o.id

SELECT id FROM orders WHERE (status, customer_id) IN (SELECT 'open', id FROM customers WHERE country = 'FR') ORDER BY id

SELECT main.* FROM (SELECT id, total FROM orders) main ORDER BY total DESC LIMIT 3

-- sqlite
SELECT STRFTIME('%Y-%m', created_at) AS month, SUM(total) FROM orders GROUP BY month ORDER BY month

-- sqlite
SELECT DATE(created_at) AS day FROM orders WHERE DATE(created_at) >= '2026-06-01' ORDER BY day, id

-- sqlite
SELECT IIF(total > 100, 'big', 'small') AS size, COUNT(*) FROM orders GROUP BY size ORDER BY size

-- sqlite
SELECT IFNULL(note, '-') FROM orders WHERE id IN (5, 10) ORDER BY id

-- postgres
SELECT DATE_TRUNC('month', created_at) AS month, SUM(total) FROM orders GROUP BY month ORDER BY month

-- postgres
SELECT EXTRACT(MONTH FROM created_at) AS month, COUNT(*) FROM orders GROUP BY 1 ORDER BY 1

-- postgres
SELECT created_at::date AS day, total::int FROM orders WHERE created_at >= TIMESTAMP '2026-06-01' ORDER BY id

-- postgres
SELECT PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY total) AS median FROM orders

-- postgres
SELECT TO_CHAR(created_at, 'YYYY-MM') AS month, COUNT(*) FROM orders GROUP BY 1 ORDER BY 1

-- postgres
SELECT status, STRING_AGG(name, ', ' ORDER BY name) FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.id < 9 GROUP BY status ORDER BY status

-- postgres
SELECT id FROM customers WHERE name ILIKE 'customer 1%' ORDER BY id

-- postgres
SELECT status, country, COUNT(*) FROM orders o JOIN customers c ON c.id = o.customer_id GROUP BY ROLLUP (status, country) ORDER BY 1 NULLS LAST, 2 NULLS LAST

-- postgres
SELECT id FROM orders WHERE created_at > TIMESTAMP '2026-07-01' - INTERVAL '30 days' ORDER BY id

-- postgres
SELECT STDDEV(total), GREATEST(1, 2), LEFT(MIN(status), 2) FROM orders

-- postgres
SELECT id FROM orders ORDER BY note DESC NULLS LAST, id FETCH FIRST 4 ROWS ONLY
