# Bytes of a node's files turn over while it is stopped: nothing wrong is served, nothing is missing, SCRUB finds it, the
# other owners mend it, the damaged file is put aside at the next start. A damaged manifest waits for a person.
use strict;
use warnings;
use DynamoCluster;
use DynamoProgram;
use Test::More;

my $rows    = 4000;
my $cluster = DynamoCluster->new(nodes => 3, config => ['partitions=64', 'repair_interval_s=0', 'record_cache_mb=0']);
$cluster->query(qq{
CREATE FOREIGN TABLE t (id bigint OPTIONS (key 'true'), v text[])
    SERVER dynamo OPTIONS (bucket 't', n '3', r '2', w '3');
INSERT INTO t SELECT i, ARRAY[md5(i::text) || md5((i + 1)::text) || md5((i + 2)::text)] FROM generate_series(1, $rows) i;
});

my $right = 'v = ARRAY[md5(id::text) || md5((id + 1)::text) || md5((id + 2)::text)]';

sub stat_of
{
    my ($node, $name) = @_;
    return $cluster->console($node, 'SHOW STATS') =~ /^$name\|(\d+)/m ? $1 : undef;
}

sub scrubbed
{
    my ($node) = @_;
    my ($status, $out) = $cluster->run('console', $node, '-XA', '-P', 'footer=off', '-c', 'SHOW SCRUB');
    my ($head, $row) = split /\n/, $out;
    my %scrub;
    @scrub{ split /\|/, $head } = split /\|/, $row, -1;
    return \%scrub;
}

sub scrub
{
    my ($node) = @_;
    $cluster->console($node, 'SCRUB');
    $cluster->await("node $node: SCRUB comes to its end", sub { scrubbed($node)->{state} eq 'done' });
    return scrubbed($node);
}

# Turns over eight bytes in the middle of the largest file that matches.
sub damage
{
    my ($node, $pattern) = @_;
    my ($file) = sort { -s $b <=> -s $a } glob $cluster->node_folder($node) . "/data/rocksdb/$pattern";
    open my $handle, '+<:raw', $file or die "$file: $!";
    seek $handle, int((-s $file) / 2), 0;
    read $handle, my $bytes, 8;
    seek $handle, int((-s $file) / 2), 0;
    print $handle ~$bytes;
    close $handle or die "$file: $!";
    return $file;
}

# Every key, by itself and in a scan, through as many owners.
sub read_everything
{
    my ($what, $r) = @_;
    my $set = "SET dynamo_fdw.r = $r;";
    is($cluster->query("$set SELECT count(*), count(*) FILTER (WHERE $right) FROM t WHERE id = ANY(ARRAY(SELECT generate_series(1, $rows)))"),
        "$rows|$rows", "$what: every key is read right");
    is($cluster->query("$set SELECT count(*), count(*) FILTER (WHERE $right) FROM t"), "$rows|$rows", "$what: and scanned right");
}

# ---- a block of a file ----

$cluster->kill(2);
$cluster->start(2);    # which moves what the log held into a file
$cluster->await_all_up;
my $scrub = scrub(2);
is($scrub->{rows}, $rows, 'SCRUB reads every row');
is("$scrub->{files}|$scrub->{blocks_damaged}|$scrub->{unreadable}|$scrub->{trees_wrong}", "$scrub->{files_total}|0|0|0",
    'and every file, and finds nothing');
ok($scrub->{files} > 0, 'there are files');

$cluster->kill(2);
my $file = damage(2, '*.sst');
$cluster->start(2);
$cluster->await_all_up;
read_everything('a damaged block', $_) for 1, 2;
$scrub = scrub(2);
ok($scrub->{blocks_damaged} > 0 && $scrub->{unreadable} > 0 && $scrub->{rows} < $rows, 'SCRUB finds it');
is($scrub->{files_damaged}, 1, 'and that it is in one file');
like($cluster->log_text(2), qr/rows of bucket "t" cannot be read/, 'the log says that rows cannot be read');
$cluster->await('and that other owners gave them', sub { $cluster->log_text(2) =~ /took \d+ rows of bucket "t" from/ });
my $by_three = "SET dynamo_fdw.r = 3; SELECT count(*) FROM t WHERE id = ANY(ARRAY(SELECT generate_series(1, $rows))) AND $right";
$cluster->await('three owners agree on every key, once node 2 was compared with both others', sub { $cluster->query($by_three) == $rows });
my $corrupt = stat_of(2, 'storage_corrupt');
is($cluster->query($by_three), $rows, 'and do again');
is(stat_of(2, 'storage_corrupt'), $corrupt, 'each of which it can read now');
my ($name) = $file =~ m{([^/]+)$};
like($cluster->log_text(2), qr/the file \Q$name\E .* is damaged.*Restart the node/, 'the log asks for a restart');
$cluster->query("INSERT INTO t SELECT i, ARRAY['more'] FROM generate_series($rows + 1, $rows + 100) i");
$cluster->query("DELETE FROM t WHERE id > $rows");

# ---- put aside ----

$cluster->kill(2);
$cluster->start(2);
$cluster->await('the next start salvages it', sub { $cluster->log_text(2) =~ /kept \d+ records/ });
ok(-e "${\ $cluster->node_folder(2)}/data/rocksdb/lost/$name", 'the damaged file is kept');
$cluster->await('and fills the node from the others', sub { stat_of(2, 'storage_refilling') == 0 });
$cluster->await_all_up;
read_everything('salvaged', 3);
$scrub = scrub(2);
is("$scrub->{blocks_damaged}|$scrub->{files_damaged}|$scrub->{unreadable}|$scrub->{trees_wrong}", '0|0|0|0', 'SCRUB finds nothing any more');

# ---- the manifest ----

$cluster->kill(3);
damage(3, 'MANIFEST-*');
my ($status, $out, $error) = $cluster->run('start', 3);
isnt($status, 0, 'a node with a damaged manifest does not start');
like($cluster->log_text(3), qr/dynamo_node salvage -D DIR/, 'and names what helps');
($status, $out, $error) = run_as_server([ DynamoCluster::program(), 'salvage', '-D', $cluster->node_folder(3) ]);
is($status, 0, 'which does') or diag $error;
like($out, qr/kept \d+ records/, 'and says what it has done');
$cluster->start(3);
$cluster->await('the node starts and is filled', sub { stat_of(3, 'storage_refilling') == 0 });
$cluster->await_all_up;
read_everything('after salvage', 3);

# ---- all are equal ----

$cluster->console($_, 'REPAIR') for 1 .. 3;
$cluster->await('all replicas are equal', sub {
    $cluster->query(q{SELECT count(*) FROM dynamo_repair_status('dynamo')
        WHERE equal_at IS NULL OR equal_at < now() - interval '20 s'}) == 0 });

done_testing;
