# The cluster key is replaced while everything runs: installed on every node, used on every node,
# removed from every node, with a restart at each stage. Writes go on, links keep authenticating, and
# a context is good until the key that it was sealed under is removed.
use strict;
use warnings;
use DynamoCluster;
use DynamoProgram;
use Test::More;
use Time::HiRes qw(sleep time);

my $cluster = DynamoCluster->new(nodes => 3);
my @folder = (undef, map { $cluster->node_folder($_) } 1 .. 3);
$cluster->query(q{
CREATE FOREIGN TABLE cart (id bigint OPTIONS (key 'true'), v text[], context bytea OPTIONS (context 'true'))
    SERVER dynamo OPTIONS (bucket 'cart', n '3', r '2', w '2');
CREATE FOREIGN TABLE load (id bigint OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'load', n '3', r '2', w '2');
INSERT INTO cart (id, v) SELECT i, '{made}' FROM generate_series(1, 20) i;
INSERT INTO load VALUES (0, '{made}');
CREATE TABLE seen AS SELECT id, context FROM cart;
});

# ---- what the test does to a node ----------------------------------------------------------------

sub key
{
    my ($node, $words, %how) = @_;
    return run_as_server([ DynamoCluster::program(), 'key', @$words, '-D', $folder[$node] ], %how);
}

sub changed
{
    my ($node, $words, %how) = @_;
    my ($status, $out, $error) = key($node, $words, %how);
    is($status, 0, "node $node: key @$words") or diag $error;
    chomp $out;
    return $out;
}

sub refused
{
    my ($node, $words, $message, %how) = @_;
    my ($status, $out, $error) = key($node, $words, %how);
    isnt($status, 0, "node $node: key @$words is refused");
    like($error, $message, '... and says why');
}

# Minutes of writes, one after another.
my $writer = $cluster->background(join '', map {
    "INSERT INTO load SELECT $_, '{value $_}' FROM pg_sleep(0.005) \\g\n\\if :ERROR\n\\else\n\\echo acked $_\n\\endif\n"
} 1 .. 60000);

# The writer's output must be taken, or it stands still.
sub await
{
    my ($what, $condition) = @_;
    return $cluster->await($what, sub { $writer->{harness}->pump_nb if !$writer->{over}; $condition->() });
}

sub acknowledged { my $count = () = $writer->{out} =~ /^acked/mg; return $count }

sub await_writes
{
    my ($what) = @_;
    my $before = acknowledged();
    await("writes go on $what", sub { acknowledged() > $before + 20 });
}

# What SHOW KEYS must say: the first is in use.
sub has_keys
{
    my ($node, @ids) = @_;
    my $expected = join "\n", map { "$ids[$_]|" . ($_ == 0 ? 't' : 'f') } 0 .. $#ids;
    await("node $node has @ids", sub { $cluster->console($node, 'SHOW KEYS') eq $expected });
}

sub reload { my ($node, @ids) = @_; kill 'HUP', $cluster->server($node)->{pid}; has_keys($node, @ids) }

sub restart
{
    my ($node, @ids) = @_;
    my $pid = $cluster->server($node)->{pid};
    kill 'TERM', $pid;
    await("node $node has stopped", sub { !kill 0, $pid });
    $cluster->start($node);
    has_keys($node, @ids) if @ids;
}

# Every link works, in both directions, whatever keys its ends use.
sub linked
{
    my ($what) = @_;
    await("every node sees every node $what", sub {
        3 == grep { my $up = () = $cluster->console($_, 'SHOW NODES') =~ /\|up\|/g; $up == 3 } 1 .. 3;
    });
}

my $next = 0;

# A context that was read before the rotation began; each is used once.
sub write_under_old_context
{
    $next++;
    return $cluster->psql(
        "INSERT INTO cart SELECT id, '{written $next}', context FROM seen WHERE id = $next");
}

sub old_context_is_good
{
    my ($what) = @_;
    my ($status, $out, $error) = write_under_old_context();
    is($status, 0, "a context of before is good $what") or diag $error;
    is($cluster->query("SELECT v FROM cart WHERE id = $next"), "{\"written $next\"}", '... and replaces what it has seen');
}

# ---- before --------------------------------------------------------------------------------------

my ($old) = $cluster->console(1, 'SHOW KEYS') =~ /^([0-9a-f]{8})\|t$/;
ok($old, 'one key is in use at first');
is(changed(1, ['list']), "$old in use", 'key list shows it');
is($cluster->query("SELECT string_agg(DISTINCT i.cluster_key, ' ') FROM seen, dynamo_context_info(context) i"),
    $old, 'and contexts are sealed under it');
await_writes('at first');

# ---- install -------------------------------------------------------------------------------------

my $new = changed(1, [qw(install --generate)]);
like($new, qr/^[0-9a-f]{8}$/, 'install prints the id');
is(changed(1, ['list']), "$old in use\n$new installed", 'key list shows both');
is((stat "$folder[1]/cluster.key")[2] & 0777, 0600, 'the file is for its owner only');
my ($secret) = slurp("$folder[1]/cluster.key") =~ /([0-9a-f]{64})\n\z/ or die 'no key';
refused(1, ['install'], qr/installed already/, in => "$secret\n");
refused(1, ['install'], qr/64 hex digits/, in => "12345\n");
refused(1, ['install'], qr/no cluster key on standard input/);
refused(1, [ 'remove', $old ], qr/in use/);
refused(1, [ 'use', '00000000' ], qr/no cluster key 00000000/);
is($cluster->console(1, 'SHOW KEYS'), "$old|t", 'a node that was not told has its old keys');
reload(1, $old, $new);
linked('with the key installed on one');
is(changed(2, ['install'], in => "$secret\n"), $new, 'the same key has the same id');
restart(2, $old, $new);
linked('with the key installed on two');
changed(3, ['install'], in => "$secret\n");
reload(3, $old, $new);
restart(1, $old, $new);
linked('with the key installed on all');
old_context_is_good('while both keys are installed');
await_writes('with both keys installed');

# ---- use -----------------------------------------------------------------------------------------

changed(1, [ 'use', $new ]);
reload(1, $new, $old);
restart(1, $new, $old);
linked('when one logs in with the new key');
restart(2, $old, $new);
linked('when another logs in with the old key');
old_context_is_good('while nodes use different keys');
await_writes('while nodes use different keys');
for my $node (2, 3)
{
    changed($node, [ 'use', $new ]);
    reload($node, $new, $old);
}
restart(3, $new, $old);
linked('when all use the new key');
old_context_is_good('when all use the new key');
$cluster->query('CREATE TABLE seen_later AS SELECT id, context FROM cart WHERE id > 10');
is($cluster->query("SELECT string_agg(DISTINCT i.cluster_key, ' ') FROM seen_later, dynamo_context_info(context) i"),
    $new, 'contexts are sealed under the new key');
{
    my ($shown) = $cluster->console(1, 'GET cart 20') =~ /\|(\\x[0-9a-f]+)$/m or die 'no context';
    is($cluster->query("SELECT DISTINCT cluster_key FROM dynamo_context_info('$shown')"), $new, '... on the console too');
    $cluster->query("INSERT INTO cart VALUES (20, '{resolved}', '$shown')");
    is($cluster->query('SELECT v FROM cart WHERE id = 20'), '{resolved}', '... where it is as good as one that was read');
}
await_writes('with the new key in use');

# ---- a file that cannot be read ------------------------------------------------------------------

open my $file, '>>', "$folder[3]/cluster.key" or die $!;
print $file "not a key\n";
close $file;
kill 'HUP', $cluster->server(3)->{pid};
await('a damaged file is told in the log', sub { slurp($cluster->server(3)->{log}) =~ /cluster\.key" line 3/ });
is($cluster->console(3, 'SHOW KEYS'), "$new|t\n$old|f", '... and the old state stays in force');
refused(3, ['list'], qr/line 3.*64 hex digits/);
system('cp', "$folder[2]/cluster.key", "$folder[3]/cluster.key");
refused(3, [ 'remove', $new ], qr/in use/);

# ---- remove --------------------------------------------------------------------------------------

for my $node (1 .. 3)
{
    changed($node, [ 'remove', $old ]);
    reload($node, $new);
    linked("after the old key was removed from node $node");
}
restart(2, $new);
linked('with the old key removed from all');
{
    my ($status, $out, $error) = write_under_old_context();
    isnt($status, 0, 'a context under the removed key is refused');
    like($error, qr/the context was sealed by another cluster, or under a cluster key that was removed/, '... by name');
    like($error, qr/DETAIL:.*sealed under cluster key $old/, '... which key');
    like($error, qr/HINT:.*Read the key again/, '... and what to do');
    is($cluster->query("SELECT v FROM cart WHERE id = $next"), '{made}', '... and nothing was written');
    $cluster->query("INSERT INTO cart SELECT id, '{written $next}', context FROM cart WHERE id = $next");
    is($cluster->query("SELECT v FROM cart WHERE id = $next"), "{\"written $next\"}", 'what is read again can be written');
    $cluster->query("INSERT INTO cart SELECT id, '{later}', context FROM seen_later WHERE id = 11");
    is($cluster->query('SELECT v FROM cart WHERE id = 11'), '{later}', 'contexts under the new key are good');
}
await_writes('with the old key removed');

# ---- who may not know ----------------------------------------------------------------------------

for my $node (1 .. 3)
{
    my $console = $cluster->console($node, 'SHOW KEYS');
    unlike("$console" . slurp($cluster->server($node)->{log}), qr/[0-9a-f]{40}/i, "node $node shows no key");
}

# ---- the writer ----------------------------------------------------------------------------------

$cluster->query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'INSERT INTO load%' AND pid <> pg_backend_pid()");
$cluster->finish($writer);
$writer->{over} = 1;
my @acked = $writer->{out} =~ /^acked (\d+)$/mg;
my %found = map { split /\|/, $_, 2 } split /\n/, $cluster->query('SELECT id, v[1] FROM load');
is(scalar(grep { ($found{$_} // '') ne "value $_" } @acked), 0, 'all ' . @acked . ' acknowledged writes are there');
my @errors = grep { !/57P01/ } $writer->{error} =~ /(?:ERROR|FATAL):  (.*)/g;
unlike(join("\n", @errors), qr/28P01|28000|22023|password|context/, 'no write failed for a key');
note scalar(@errors) . " writes failed during the restarts\n" . join "\n", @errors;

# ---- one that missed it all ----------------------------------------------------------------------

{
    my ($status) = run_as_server([ 'sh', '-c', "printf '%064d\\n' 7 > '$folder[3]/cluster.key'" ]);
    is($status, 0, 'node 3 gets a key that the others do not have');
}
restart(3);
await('it is not let in', sub { slurp($cluster->server(1)->{log}) =~ /password authentication failed for user "_peer_(?!$new)/ });
await('and is down to the others', sub { $cluster->console(1, 'SHOW NODES') =~ /\|down\|/ });
system('cp', "$folder[2]/cluster.key", "$folder[3]/cluster.key");
reload(3, $new);
linked('once it has the key, without a restart');

done_testing;
