# Buckets by the thousand, listed and dropped: what an epoch costs, what is refused, and that nothing of a dropped one comes back.
use strict;
use warnings;
use DynamoCluster;
use Test::More;
use Time::HiRes qw(time);

my $count = 1200;
my $cluster = DynamoCluster->new(nodes => 3, config => ['partitions=256', 'repair_interval_s=5', 'max_buckets_per_user=' . ($count + 1)]);

my $stat = sub {
    my ($node, $name) = @_;
    return $cluster->console($node, 'SHOW STATS') =~ /^$name\|(\d+)/m ? $1 : undef;
};
my $error_of = sub {
    my ($sql) = @_;
    my ($status, $out, $error) = $cluster->psql($sql);
    return $error;
};

# ---- many ----

$cluster->query(q{CREATE SCHEMA many});
$cluster->query(q{
CREATE PROCEDURE make(first int, last int) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN first .. last LOOP
        EXECUTE format('CREATE FOREIGN TABLE many.t%s (id int OPTIONS (key ''true''), v text[]) SERVER dynamo OPTIONS (bucket ''many%s'')', i, i);
        EXECUTE format('INSERT INTO many.t%s VALUES (1, ''{one}'')', i);
        IF i % 50 = 0 THEN
            COMMIT;
        END IF;
    END LOOP;
END
$$});
my $began = time;
my @makers = map { $cluster->background('CALL make(' . ($_ * $count / 4 + 1) . ', ' . (($_ + 1) * $count / 4) . ')') } 0 .. 3;
$cluster->finish($_) for @makers;
my $took = time - $began;
is($cluster->query(q{SELECT count(*) FROM dynamo_buckets('dynamo')}), $count, "$count buckets are made");
note(sprintf('%d buckets in %.1f s; the longest turns of the loops: %s ms', $count, $took,
    join(', ', map { int($stat->($_, 'longest_turn_us') / 1000) } 1 .. 3)));
is($cluster->query(q{SELECT bucket, n, key, value, made_by FROM dynamo_buckets('dynamo') WHERE bucket = 'many7'}),
    'many7|3|id bigint|v text|dynamo', 'a bucket is listed with what it is and whose');
like($cluster->console(2, 'SHOW BUCKETS'), qr/^many7\|\d+\|3\|id bigint\|1\|dynamo\|1$/m, 'on a node too, with the keys that are there');

# ---- dropped ----

$cluster->query(q{CREATE FOREIGN TABLE cart (id int OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'cart')});
$cluster->query(q{INSERT INTO cart SELECT i, ARRAY['old ' || i] FROM generate_series(1, 5000) i});
my $keys_of_cart = sub { my ($node) = @_; return $cluster->console($node, 'SHOW BUCKETS') =~ /^cart\|.*\|(\d+)$/m ? $1 : undef };
$cluster->await('all nodes have all rows', sub { 3 * 5000 == eval { $keys_of_cart->(1) + $keys_of_cart->(2) + $keys_of_cart->(3) } });
my @others = map { $stat->($_, 'storage_keys') - 5000 } 1 .. 3;

like($error_of->(q{SELECT dynamo_drop_bucket('dynamo', 'cart')}), qr/could not drop bucket "cart".*role/s, 'a data user of the nodes may drop none');
like($error_of->(q{SELECT dynamo_drop_bucket('dynamo_admin', 'nothing')}), qr/bucket "nothing" does not exist/, 'one that is not there cannot be dropped');
$cluster->query(q{CREATE ROLE plain; GRANT USAGE ON FOREIGN SERVER dynamo_admin TO plain});
like($error_of->(q{SET ROLE plain; SELECT dynamo_drop_bucket('dynamo_admin', 'cart')}), qr/permission denied for function/, 'nor by whoever has no EXECUTE');

$cluster->kill(3);
$cluster->query(q{SELECT dynamo_drop_bucket('dynamo_admin', 'cart')});
is($cluster->query(q{SELECT count(*) FROM cart}), 0, 'a dropped bucket has no rows');
is($cluster->query(q{SELECT count(*) FROM dynamo_buckets('dynamo') WHERE bucket = 'cart'}), 0, 'nor is it listed');
$cluster->await("node $_ has removed them from its disk", sub { $stat->($_, 'storage_keys') == $others[$_ - 1] }) for 1, 2;
$cluster->query(q{INSERT INTO cart VALUES (1, '{new}')});
$cluster->start(3);
$cluster->await_all_up;
$cluster->await('a node that was down removes them when it is back', sub { $stat->(3, 'storage_keys') <= $others[2] + 1 }, 60);
is($cluster->query(q{SET dynamo_fdw.r = 3; SELECT id, v FROM cart}), '1|{new}', 'and the name has only what was written since');
my ($id) = $cluster->console(1, 'SHOW BUCKETS') =~ /^cart\|(\d+)\|/m;
cmp_ok($id, '>', $count + 1, 'under an id of its own');
$cluster->query(q{SELECT 1});
is($cluster->console($_, 'GET cart 2 LOCAL'), '', "nothing of the old one is on node $_") for 1 .. 3;

# A session that has known the bucket, and one that writes while it goes.
like($error_of->(q{SELECT count(*) FROM cart; BEGIN; INSERT INTO cart VALUES (9, '{late}');
    SELECT dynamo_drop_bucket('dynamo_admin', 'cart'); COMMIT}), qr/dropped/, 'a write to it is refused');
is($cluster->query(q{SELECT count(*) FROM cart}), 0, 'and the next statement finds none');
is($cluster->console(1, 'DROP BUCKET many7'), 'DROP BUCKET', 'the console drops too');
is($cluster->query(q{SELECT count(*) FROM many.t7}), 0, 'all its rows');

# ---- bounds ----

like($error_of->(q{CREATE FOREIGN TABLE wide (id int OPTIONS (key 'true'), } . join(', ', map { sprintf('a_rather_long_name_of_a_column_%030d text[]', $_) } 1 .. 1200)
    . q{) SERVER dynamo OPTIONS (bucket 'wide'); INSERT INTO wide (id) VALUES (1)}), qr/64 KB/, 'a definition is bounded');
# Of this user 1,199 are left.
my $make = sub { my ($name) = @_; return "CREATE FOREIGN TABLE $name (id int OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket '$name'); INSERT INTO $name VALUES (1, '{one}');" };
$cluster->query($make->("more$_")) for 1, 2;
like($error_of->('\set VERBOSITY verbose' . "\n" . $make->('more3')), qr/53000.*"dynamo" has had 1201 buckets made.*dynamo_drop_bucket/s, 'and so are the buckets of a user');
done_testing;
