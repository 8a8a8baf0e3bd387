# Reads and writes through SQL on three nodes, from more than one session, and what each node keeps.
use strict;
use warnings;
use DynamoCluster;
use Test::More;

my $cluster = DynamoCluster->new(nodes => 3);
$cluster->query(q{
CREATE FOREIGN TABLE cart (
    customer_id bigint OPTIONS (key 'true'),
    items jsonb[],
    note text[],
    context bytea OPTIONS (context 'true')
) SERVER dynamo OPTIONS (bucket 'cart', n '3', r '2', w '2');
});

is($cluster->query('SELECT count(*) FROM cart'), 0, 'a bucket that nobody wrote to has no rows');

# ---- what was written is read, by any session ----
$cluster->query(q{INSERT INTO cart (customer_id, items, note) VALUES (1, '{"[1]"}', '{one}')});
is($cluster->query('SELECT customer_id, items, note FROM cart WHERE customer_id = 1'),
    '1|{[1]}|{one}', 'a row that another session wrote');
$cluster->query(q{INSERT INTO cart (customer_id, note) SELECT i, ARRAY['row ' || i] FROM generate_series(2, 500) i});
is($cluster->query('SELECT count(*), sum(customer_id) FROM cart'), '500|' . 500 * 501 / 2, 'a scan of all rows');
is($cluster->query(q{SELECT note[1] FROM cart WHERE customer_id IN (7, 499, 1000) ORDER BY 1}),
    "row 499\nrow 7", 'several keys at once');
is($cluster->query(q{SELECT count(*) FROM cart JOIN generate_series(490, 510) g ON g = customer_id}), 11,
    'a join with an int column');

# ---- two writers that did not see each other leave two siblings ----
$cluster->query(q{INSERT INTO cart (customer_id, note) VALUES (1001, '{phone}')});
$cluster->query(q{INSERT INTO cart (customer_id, note) VALUES (1001, '{laptop}')});
is($cluster->query('SELECT cardinality(note) FROM cart WHERE customer_id = 1001'), 2, 'two siblings');
is($cluster->query('SELECT string_agg(x, $$,$$ ORDER BY x) FROM cart, unnest(note) x WHERE customer_id = 1001'),
    'laptop,phone', 'with both values');
$cluster->query(q{INSERT INTO cart SELECT customer_id, NULL, ARRAY['both'], context FROM cart WHERE customer_id = 1001});
is($cluster->query('SELECT note FROM cart WHERE customer_id = 1001'), '{both}', 'a write with the context replaces what it saw');

# ---- writes leave at commit ----
$cluster->query(q{BEGIN; INSERT INTO cart (customer_id, note) VALUES (1002, '{gone}'); ROLLBACK});
is($cluster->query('SELECT count(*) FROM cart WHERE customer_id = 1002'), 0, 'ROLLBACK sends nothing');
$cluster->query(q{BEGIN; INSERT INTO cart (customer_id, note) VALUES (1003, '{kept}'); SAVEPOINT s;
    INSERT INTO cart (customer_id, note) VALUES (1004, '{gone}'); ROLLBACK TO s; COMMIT});
is($cluster->query('SELECT customer_id FROM cart WHERE customer_id IN (1003, 1004)'), 1003, 'nor does ROLLBACK TO');

# ---- COPY ----
my $rows = join '', map { "$_\t{\"copied $_\"}\n" } 2001 .. 4000;
my ($status, $out, $error) = $cluster->psql("COPY cart (customer_id, note) FROM stdin;\n$rows\\.\n");
is($status, 0, 'COPY') or diag $error;
is($cluster->query('SELECT count(*), min(note[1]) FROM cart WHERE customer_id BETWEEN 2001 AND 4000'),
    '2000|copied 2001', 'what was copied is there');

# ---- every node has it, and a read of one replica has it too ----
$cluster->query(q{SET dynamo_fdw.w = 3; INSERT INTO cart (customer_id, note) VALUES (3, '{changed}')});
for my $node (1 .. 3)
{
    like($cluster->console($node, 'GET cart 3 LOCAL'), qr/\S/, "node $node has a copy");
}
is($cluster->query('SET dynamo_fdw.r = 1; SELECT cardinality(note) FROM cart WHERE customer_id = 3'), 2,
    'with r = 1, after w = 3');
like($cluster->query('EXPLAIN (VERBOSE, COSTS OFF) SELECT * FROM cart WHERE customer_id = 3'), qr/cart.*3/s,
    'EXPLAIN names bucket and key');

# ---- the same after a restart of everything ----
$cluster->kill($_)  for 1 .. 3;
$cluster->start($_) for 1 .. 3;
$cluster->await('all rows are there after a restart',
    sub { $cluster->query('SELECT count(*) FROM cart WHERE customer_id <= 500') == 500 });

done_testing;
