-- Hostile queries, one per paragraph, run for real. None may say anything that depends on what the tenant may not see.
-- `-- sqlite`, `-- postgres` or `-- mysql` before a query: that dialect alone.

SELECT tax_number FROM customers

SELECT customers.tax_number FROM customers

SELECT c.tax_number FROM customers c

SELECT "tax_number" FROM customers

SELECT TAX_NUMBER FROM customers

SELECT tenant_id FROM customers

SELECT COUNT(tax_number) FROM customers

SELECT id FROM customers WHERE tax_number LIKE 'CANARY%'

SELECT id FROM customers ORDER BY tax_number

SELECT id FROM customers GROUP BY id, tax_number

SELECT MAX(tax_number) OVER () FROM customers

SELECT id FROM customers WHERE EXISTS (SELECT 1 FROM customers x WHERE x.tax_number = 'CANARYONE-1')

SELECT (SELECT tax_number FROM customers LIMIT 1)

SELECT x FROM (SELECT tax_number AS x FROM customers) AS t

WITH t AS (SELECT tax_number AS x FROM customers) SELECT x FROM t

WITH t(x) AS (SELECT tax_number FROM customers) SELECT x FROM t

WITH tax_number AS (SELECT 1 AS tax_number) SELECT customers.tax_number FROM customers, tax_number

SELECT customers.tax_number AS tax_number FROM customers

SELECT 1 AS tax_number FROM customers ORDER BY customers.tax_number

SELECT 1 AS tax_number, (SELECT c.tax_number FROM customers c LIMIT 1)

SELECT t.tax_number FROM customers t, (SELECT 1 AS tax_number) u

SELECT purchase_price FROM products

SELECT price - purchase_price FROM products

SELECT p.* , purchase_price FROM products p

SELECT * FROM customers WHERE tenant_id = 'rival'

SELECT * FROM customers WHERE 1 = 1 OR tenant_id <> 'x'

SELECT * FROM customers WHERE id >= 100

SELECT * FROM orders WHERE id = 500

SELECT COUNT(*) FROM orders WHERE id >= 500

SELECT MAX(id) FROM orders

SELECT MAX(total), MIN(total), SUM(total) FROM orders

SELECT note FROM orders WHERE note LIKE '%CANARY%'

SELECT status FROM orders GROUP BY status

SELECT name FROM customers UNION SELECT status FROM orders

SELECT id FROM orders UNION ALL SELECT salary FROM payroll

SELECT * FROM payroll

SELECT * FROM "payroll"

SELECT * FROM PAYROLL

SELECT COUNT(*) FROM payroll

SELECT 1 WHERE EXISTS (SELECT 1 FROM payroll WHERE employee LIKE 'CANARYO%')

SELECT id FROM orders WHERE id IN (SELECT salary FROM payroll)

SELECT orders.id FROM orders, payroll

SELECT orders.id FROM orders JOIN payroll ON 1 = 1

SELECT orders.id FROM orders LEFT JOIN payroll ON payroll.salary = orders.id

SELECT orders.id FROM orders NATURAL JOIN payroll

SELECT * FROM (SELECT * FROM payroll) AS orders

SELECT * FROM (payroll)

SELECT * FROM (orders CROSS JOIN payroll)

WITH orders AS (SELECT * FROM payroll) SELECT * FROM orders

WITH payroll AS (SELECT 1 AS x) SELECT * FROM payroll UNION ALL SELECT salary FROM main.payroll

WITH payroll AS (SELECT * FROM payroll) SELECT * FROM payroll

WITH a AS (WITH payroll AS (SELECT 1 AS x) SELECT x FROM payroll) SELECT * FROM payroll

SELECT * FROM payroll, (WITH payroll AS (SELECT 1 AS x) SELECT x FROM payroll) AS t

SELECT (WITH payroll AS (SELECT 1 AS x) SELECT x FROM payroll), (SELECT employee FROM payroll LIMIT 1)

WITH b AS (SELECT * FROM payroll), payroll AS (SELECT 1 AS employee) SELECT * FROM b

SELECT * FROM il_cte_0

WITH x AS (SELECT 1 AS a) SELECT * FROM il_cte_0

WITH orders AS (SELECT id, tenant_id FROM orders) SELECT * FROM orders

WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT COUNT(*) FROM n

WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1000000000) SELECT MAX(x) FROM n

WITH RECURSIVE a AS (SELECT 'aaaaaaaaaa' AS t UNION ALL SELECT t || t FROM a) SELECT LENGTH(t) FROM a

SELECT 1; SELECT * FROM payroll

SELECT 1; DROP TABLE orders

SELECT 1;; DELETE FROM orders

SELECT 1 /* ; */ ; DELETE FROM orders --

DROP TABLE orders

DELETE FROM orders

UPDATE orders SET note = 'x'

INSERT INTO orders VALUES (1)

INSERT INTO orders SELECT * FROM orders

CREATE TABLE x AS SELECT * FROM payroll

CREATE VIEW v AS SELECT * FROM payroll

CREATE TEMP TABLE x AS SELECT * FROM payroll

ALTER TABLE orders ADD COLUMN x TEXT

TRUNCATE TABLE orders

REPLACE INTO orders VALUES (1)

WITH d AS (DELETE FROM orders RETURNING *) SELECT * FROM d

WITH d AS (INSERT INTO orders (id) VALUES (1) RETURNING id) SELECT * FROM d

WITH d AS (UPDATE orders SET note = 'x' RETURNING id) SELECT * FROM d

BEGIN

COMMIT

ROLLBACK

EXPLAIN SELECT * FROM payroll

EXPLAIN ANALYZE SELECT * FROM payroll

VALUES (1)

VACUUM

ANALYZE

SELECT id FROM orders WHERE id = 1 OR 1 = 1 -- AND tenant_id = 'acme'

SELECT id FROM orders WHERE id = 1 /* AND */ OR tenant_id LIKE '%'

SELECT id FROM orders WHERE 'a' = 'a' /*!50000 OR tenant_id = 'rival' */

SELECT/**/tax_number/**/FROM/**/customers

SELECT id FROM orders LIMIT (SELECT COUNT(*) FROM payroll)

SELECT id FROM orders LIMIT 1 OFFSET (SELECT salary FROM payroll LIMIT 1)

SELECT id FROM orders ORDER BY (SELECT employee FROM payroll LIMIT 1)

SELECT id FROM orders GROUP BY id HAVING (SELECT COUNT(*) FROM payroll) = 9

SELECT SUM((SELECT salary FROM payroll LIMIT 1)) OVER (ORDER BY id) FROM orders

SELECT CASE WHEN (SELECT COUNT(*) FROM payroll) = 9 THEN 1 ELSE 2 END

SELECT ABS(CASE WHEN (SELECT MAX(tax_number) FROM customers) > 'D' THEN -9223372036854775808 ELSE 1 END)

SELECT CAST(note AS INTEGER) + 1 FROM orders WHERE id >= 500

SELECT id FROM orders WHERE 1 / (id - 500) = 1

SELECT id FROM orders WHERE 1 / (total - 10009) > 0

SELECT id FROM orders WHERE CAST(status AS INTEGER) = 1 AND id >= 500

SELECT id FROM customers WHERE ABS(CASE WHEN name LIKE 'CANARYONE%' THEN -9223372036854775807 - 1 ELSE 1 END) = 1

SELECT id FROM orders WHERE SUBSTR(note, 1, 6) = 'CANARY' AND CAST(note AS NUMERIC) > 0

SELECT o.id FROM orders o JOIN customers c ON CAST(c.country AS INTEGER) = o.id WHERE c.id >= 100

SELECT main.payroll.employee FROM payroll

SELECT * FROM main.payroll

SELECT * FROM public.payroll

SELECT * FROM temp.payroll

SELECT * FROM other.orders

SELECT * FROM a.b.orders

SELECT public.orders.id FROM orders

SELECT a.b.c.d FROM orders

SELECT rowid FROM customers

SELECT _rowid_ FROM customers

SELECT oid FROM customers

SELECT customers.rowid FROM customers

SELECT MAX(rowid) FROM orders

SELECT ctid FROM orders

SELECT xmin FROM orders

SELECT tableoid FROM orders

SELECT ?

SELECT :tenant

SELECT $1

SELECT ?1, id FROM orders

SELECT @x

SELECT {{ x }}

SELECT 1 INTO x

SELECT * INTO x FROM orders

SELECT * INTO OUTFILE '/tmp/x' FROM orders

SELECT id FROM orders FOR UPDATE

SELECT id FROM orders FOR SHARE

SELECT * FROM orders TABLESAMPLE BERNOULLI (100)

SELECT CURRENT_USER

SELECT SESSION_USER

SELECT USER

SELECT RANDOM()

SELECT VERSION()

SELECT NOSUCHFUNCTION(1)

SELECT "count"(*) FROM orders, payroll

SELECT COUNT(*) FROM orders a, orders b, orders c, orders d, orders e, orders f

SELECT COUNT(*) FROM orders a, orders b, orders c, orders d, orders e, orders f, orders g, orders h, orders i, orders j, orders k, orders l, orders m

SELECT REPEAT('x', 1000000000)

SELECT REPLACE(REPLACE(REPLACE('aaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'a', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaa'), 'a', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'), 'a', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')

SELECT ((((((((((((((((((((((((((((((((((((((((((((((((1))))))))))))))))))))))))))))))))))))))))))))))))

SELECT id FROM orders WHERE id = 1 UNION SELECT id FROM orders WHERE tenant_id = 'rival'

SELECT id FROM orders INTERSECT SELECT salary FROM payroll

SELECT id FROM orders EXCEPT SELECT salary FROM payroll

(SELECT employee FROM payroll) UNION (SELECT status FROM orders)

SELECT * FROM orders o, LATERAL (SELECT * FROM payroll) p

SELECT * FROM orders o CROSS JOIN LATERAL (SELECT tax_number FROM customers c WHERE c.id = o.customer_id) x

SELECT * FROM orders USE INDEX (x)

SELECT /*+ INDEX(x) */ tenant_id FROM orders

SELECT SQL_CALC_FOUND_ROWS tenant_id FROM orders

SELECT DISTINCT ON (tenant_id) id FROM orders

SELECT id FROM orders WINDOW w AS (ORDER BY tenant_id)

SELECT id FROM orders QUALIFY ROW_NUMBER() OVER (ORDER BY tenant_id) = 1

SELECT id FROM orders JOIN customers USING (tenant_id)

SELECT orders.id FROM orders JOIN customers ON orders.tenant_id = customers.tenant_id

SELECT ｔａｘ＿ｎｕｍｂｅｒ FROM customers

SELECT tax_number​ FROM customers

SELECT `tax_number` FROM customers

SELECT [tax_number] FROM customers

SELECT U&"tax\005Fnumber" FROM customers

SELECT 'x' UESCAPE '!' FROM payroll

SELECT E'\x41' FROM payroll

SELECT $$x$$, employee FROM payroll

SELECT id FROM orders WHERE note = '\' OR tenant_id = 'rival' --'

SELECT CAST('x' AS REGCLASS)

SELECT CAST(note AS XML) FROM orders

SELECT id COLLATE nosuch FROM orders

-- sqlite
SELECT * FROM sqlite_master

-- sqlite
SELECT sql FROM sqlite_schema

-- sqlite
SELECT name FROM main.sqlite_master

-- sqlite
SELECT * FROM sqlite_temp_master

-- sqlite
SELECT * FROM sqlite_stat1

-- sqlite
SELECT * FROM pragma_table_info('customers')

-- sqlite
SELECT * FROM pragma_database_list

-- sqlite
PRAGMA table_info(customers)

-- sqlite
PRAGMA query_only = OFF

-- sqlite
ATTACH DATABASE '/tmp/x.db' AS x

-- sqlite
SELECT * FROM json_each('[1,2,3]')

-- sqlite
SELECT * FROM generate_series(1, 1000000000)

-- sqlite
SELECT * FROM dbstat

-- sqlite
SELECT load_extension('/tmp/x.so')

-- sqlite
SELECT readfile('/etc/passwd')

-- sqlite
SELECT writefile('/tmp/x', 'y')

-- sqlite
SELECT zeroblob(1000000000)

-- sqlite
SELECT randomblob(1000000000)

-- sqlite
SELECT printf('%1000000000d', 1)

-- sqlite
SELECT format('%1000000000d', 1)

-- sqlite
SELECT hex(zeroblob(100000000))

-- sqlite
SELECT sqlite_version(), sqlite_source_id()

-- sqlite
SELECT last_insert_rowid(), changes(), total_changes()

-- sqlite
SELECT fts3_tokenizer('x')

-- sqlite
SELECT edit('x')

-- sqlite
SELECT id FROM orders INDEXED BY x

-- sqlite
SELECT id FROM orders NOT INDEXED

-- sqlite
SELECT id FROM orders WHERE note REGEXP '(a+)+$'

-- sqlite
SELECT id FROM orders WHERE note MATCH 'x'

-- sqlite
SELECT note -> '$' FROM orders

-- sqlite
SELECT "employee" FROM orders

-- sqlite
SELECT CAST(note AS BLOB) FROM orders WHERE id >= 500

-- sqlite
SELECT x'41' FROM payroll

-- sqlite
SELECT id FROM orders WHERE json_extract(note, '$.x') = 1 AND id >= 500

-- sqlite
SELECT name FROM customers WHERE json_extract(country, '$') = 1 AND id >= 100

-- sqlite
WITH a AS MATERIALIZED (SELECT * FROM payroll) SELECT * FROM a

-- postgres
SELECT * FROM pg_catalog.pg_tables

-- postgres
SELECT * FROM pg_user

-- postgres
SELECT * FROM pg_shadow

-- postgres
SELECT * FROM pg_stats WHERE tablename = 'customers'

-- postgres
SELECT * FROM pg_stat_activity

-- postgres
SELECT * FROM information_schema.columns

-- postgres
SELECT pg_read_file('/etc/passwd')

-- postgres
SELECT pg_ls_dir('/')

-- postgres
SELECT * FROM pg_read_binary_file('/etc/passwd')

-- postgres
SELECT lo_import('/etc/passwd')

-- postgres
SELECT pg_sleep(30)

-- postgres
SELECT * FROM pg_sleep(30)

-- postgres
SELECT pg_terminate_backend(1)

-- postgres
SELECT set_config('statement_timeout', '0', false)

-- postgres
SELECT current_setting('data_directory')

-- postgres
SELECT current_database(), current_schema(), inet_server_addr()

-- postgres
SELECT query_to_xml('SELECT * FROM payroll', true, true, '')

-- postgres
SELECT table_to_xml('payroll', true, true, '')

-- postgres
SELECT database_to_xml(true, true, '')

-- postgres
SELECT * FROM dblink('dbname=postgres', 'SELECT 1') AS t(x int)

-- postgres
SELECT nextval('x')

-- postgres
SELECT pg_advisory_lock(1)

-- postgres
SELECT pg_notify('x', 'y')

-- postgres
SELECT has_table_privilege('payroll', 'select')

-- postgres
SELECT 'payroll'::regclass

-- postgres
SELECT 'payroll'::regclass::oid

-- postgres
SELECT to_regclass('public.payroll')

-- postgres
SELECT pg_relation_size('payroll')

-- postgres
SELECT pg_get_viewdef('v')

-- postgres
SELECT obj_description(1)

-- postgres
SELECT o.pg_typeof FROM orders o

-- postgres
SELECT (o).row_to_json FROM orders o

-- postgres
SELECT row_to_json(c) FROM customers c

-- postgres
SELECT to_jsonb(c) ->> 'tax_number' FROM customers c

-- postgres
SELECT (c).tax_number FROM customers c

-- postgres
SELECT (c.*).tax_number FROM customers c

-- postgres
SELECT (SELECT c FROM customers c LIMIT 1)::text

-- postgres
SELECT generate_series(1, 1000000000)

-- postgres
SELECT * FROM generate_series(1, 1000000000)

-- postgres
SELECT unnest(array_agg(tax_number)) FROM customers

-- postgres
SELECT ARRAY(SELECT employee FROM payroll)

-- postgres
SELECT ARRAY[1, 2]

-- postgres
SELECT string_agg(employee, ',') FROM payroll

-- postgres
SELECT lpad('x', 1000000000)

-- postgres
SELECT format('%s', employee) FROM payroll

-- postgres
SELECT id FROM orders WHERE status ~ '(a+)+$'

-- postgres
SELECT id FROM orders WHERE status SIMILAR TO '%CANARY%' OR tenant_id IS NOT NULL

-- postgres
TABLE payroll

-- postgres
SELECT * FROM ONLY payroll

-- postgres
SELECT * FROM ROWS FROM (pg_ls_dir('/'))

-- postgres
COPY payroll TO '/tmp/x'

-- postgres
COPY (SELECT * FROM payroll) TO PROGRAM 'cat'

-- postgres
DO $$ BEGIN PERFORM 1; END $$

-- postgres
CALL x()

-- postgres
SET ROLE postgres

-- postgres
SET statement_timeout = 0

-- postgres
RESET ALL

-- postgres
SHOW data_directory

-- postgres
PREPARE x AS SELECT * FROM payroll

-- postgres
EXECUTE x

-- postgres
DECLARE c CURSOR FOR SELECT * FROM payroll

-- postgres
FETCH ALL FROM interlock_query

-- postgres
LISTEN x

-- postgres
LOCK TABLE orders

-- postgres
GRANT ALL ON payroll TO PUBLIC

-- postgres
CREATE FUNCTION f() RETURNS int AS 'SELECT 1' LANGUAGE sql

-- postgres
SELECT id FROM orders WHERE note::int = 1

-- postgres
SELECT id FROM customers WHERE (country::int) > 0 AND id >= 100

-- postgres
SELECT to_date(note, 'YYYY') FROM orders WHERE id >= 500

-- postgres
SELECT id FROM orders WHERE to_char(total, note) = 'x' AND id >= 500

-- postgres
SELECT ln(total - 10009) FROM orders WHERE total > 10000

-- postgres
SELECT sqrt(600 - total) FROM orders WHERE id >= 500

-- postgres
SELECT id OPERATOR(pg_catalog.+) 1 FROM orders

-- postgres
SELECT XMLPARSE(DOCUMENT '<x/>')

-- postgres
SELECT * FROM XMLTABLE('/x' PASSING '<x/>' COLUMNS a text)

-- postgres
SELECT * FROM JSON_TO_RECORD('{"a":1}') AS x(a int)

-- postgres
SELECT GROUPING(tenant_id) FROM orders GROUP BY CUBE (tenant_id)

-- postgres
SELECT id FROM orders WHERE tenant_id = ANY (SELECT 'rival')

-- postgres
SELECT EXTRACT(EPOCH FROM pg_postmaster_start_time())

-- mysql
SELECT /*!50000 tax_number */ FROM customers

-- mysql
SELECT id FROM orders WHERE 1 = 1 /*!50000 OR tenant_id = 'rival' */

-- mysql
SELECT LOAD_FILE('/etc/passwd')

-- mysql
SELECT SLEEP(10)

-- mysql
SELECT BENCHMARK(1000000000, SHA2('x', 512))

-- mysql
SELECT id FROM orders INTO OUTFILE '/tmp/x'

-- mysql
SELECT id FROM orders INTO DUMPFILE '/tmp/x'

-- mysql
SELECT id INTO @x FROM orders

-- mysql
SELECT @@version

-- mysql
SELECT @@global.secure_file_priv

-- mysql
SELECT @x := tenant_id FROM orders

-- mysql
SELECT USER(), DATABASE(), VERSION()

-- mysql
SELECT CONNECTION_ID()

-- mysql
SELECT * FROM information_schema.tables

-- mysql
SELECT * FROM mysql.user

-- mysql
SELECT * FROM performance_schema.threads

-- mysql
SHOW TABLES

-- mysql
SHOW GRANTS

-- mysql
DESCRIBE payroll

-- mysql
HANDLER payroll OPEN

-- mysql
LOAD DATA INFILE '/etc/passwd' INTO TABLE orders

-- mysql
SELECT EXTRACTVALUE(1, CONCAT(0x7e, (SELECT employee FROM payroll LIMIT 1)))

-- mysql
SELECT UPDATEXML(1, CONCAT(0x7e, (SELECT tax_number FROM customers LIMIT 1)), 1)

-- mysql
SELECT GET_LOCK('x', 10)

-- mysql
SELECT JSON_EXTRACT(note, '$.x') FROM orders WHERE id >= 500

-- mysql
SELECT id FROM orders PROCEDURE ANALYSE()

-- mysql
SELECT id FROM orders LOCK IN SHARE MODE

-- mysql
SELECT 'a\' OR tenant_id = \'rival'

-- mysql
SELECT id FROM orders WHERE note = '\\' OR tenant_id = 'rival' -- '

-- mysql
SELECT id FROM orders WHERE note = "\" OR tenant_id = 'rival' -- "

-- mysql
SELECT id FROM orders WHERE note = '__interlock_parameter__'

-- mysql
SELECT id FROM orders WHERE note = '__interlock\_parameter__' OR id >= 500

-- mysql
SELECT id FROM orders WHERE note = 'what?' AND status = '%s' AND id >= 500

-- mysql
SELECT `tax_number` FROM `customers`

-- mysql
SELECT id FROM orders WHERE status RLIKE '(a+)+$'

-- mysql
SELECT id FROM orders WHERE MATCH (note) AGAINST ('CANARY')

-- mysql
SELECT BINARY tenant_id FROM orders

-- mysql
SELECT CONVERT(tenant_id USING utf8mb4) FROM orders

-- mysql
SELECT CHAR(0x63616e617279)

-- mysql
SELECT 0x41, x'41', b'1', N'x', _utf8mb4'x' FROM payroll

-- mysql
SELECT REPEAT('x', 1000000000), SPACE(1000000000)

-- mysql
SELECT GROUP_CONCAT(employee) FROM payroll

-- mysql
SELECT * FROM orders PARTITION (p0)

-- mysql
SELECT STRAIGHT_JOIN tenant_id FROM orders

-- mysql
DO SLEEP(10)

-- mysql
CALL x()

-- mysql
SET @x = 1

-- mysql
KILL 1

-- mysql
FLUSH TABLES
