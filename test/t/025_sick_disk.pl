# A node that cannot write: its disk is full, with and without RocksDB having met that; a sync fails;
# it may not write any more. Everybody says which node it is and why, statements go round it, it
# answers no read, and what can end by itself does. Its data are on a small tmpfs.
use strict;
use warnings;
use DynamoCluster;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'needs root, to mount a tmpfs' if $> != 0 || system('mount --version >/dev/null 2>&1') != 0;

my $cluster = DynamoCluster->new(nodes => 3, config => ['write_buffer_mb=1']);
my $folder  = $cluster->node_folder(3);
my $data    = "$folder/data";
my $ballast = "$data.ballast/file";
my ($user, $group) = (stat $data)[4, 5];
my $mounted;

sub must { my ($command) = @_; system($command) == 0 or die "$command: failed\n"; return }

# The ballast is on the same disk, outside of RocksDB's folder.
$cluster->kill(3);
must("mkdir $data.disk && mount -t tmpfs -o size=200m,mode=700,uid=$user,gid=$group tmpfs $data.disk");
$mounted = 1;
must("mkdir $data.disk/data && cp -a $data/. $data.disk/data/ && chown -R $user:$group $data.disk && rm -r $data && ln -s $data.disk/data $data");
$ballast = "$data.disk/ballast";
$cluster->start(3);
END
{
    my $status = $?;
    $cluster->down if $cluster;
    system("umount -l $data.disk; rm -rf $folder") if $mounted;
    $? = $status;
}
$cluster->await_all_up('all are up before');
$cluster->query(q{
CREATE FOREIGN TABLE t (id bigint OPTIONS (key 'true'), v text[], context bytea OPTIONS (context 'true'))
    SERVER dynamo OPTIONS (bucket 't', n '3', r '2', w '2');
INSERT INTO t (id, v) SELECT i, ARRAY['value ' || i] FROM generate_series(1, 300) i;
});

my $name = 'node_' . $cluster->port(3);
my $next = 1000;

sub free_kb { my ($kb) = `df --output=avail -k $data.disk` =~ /(\d+)\s*$/; return $kb }

# Leaves so much room on node 3's disk.
sub leave_kb
{
    my ($kb) = @_;
    my $take = free_kb() - $kb;
    must("fallocate -l ${take}k $ballast") if $take > 0;
    return;
}

sub some_writes
{
    my ($count) = @_;
    my ($from, $to) = ($next, $next + $count - 1);
    $next += $count;
    return "INSERT INTO t (id, v) SELECT i, ARRAY[repeat(md5(i::text), 16)] FROM generate_series($from, $to) i";
}

sub state_at
{
    my ($node) = @_;
    my ($line) = grep { /^\Q$name\E\|/ } split /\n/, $cluster->console($node, 'SHOW NODES');
    my @columns = split /\|/, $line, -1;
    return ($columns[4], $columns[10]);
}

# Node 3 is ill: it is known everywhere, and costs nothing.
sub check_ill
{
    my ($what, $state, $why) = @_;
    for my $node (1 .. 3)
    {
        $cluster->await("$what: node $node says that node 3 is $state", sub { (state_at($node))[0] eq $state });
        like((state_at($node))[1], $why, "$what: node $node says why");
    }
    like($cluster->query("SELECT status || ': ' || error FROM dynamo_nodes('dynamo') WHERE name = '$name'"),
        qr/^$state: .*$why/, "$what: so does dynamo_nodes()");
    like($cluster->log_text(3), qr/warning.*this node takes no writes: .*$why/, "$what: so does its log");
    like($cluster->log_text(1), qr/\Q$name\E takes no writes: .*$why/, "$what: so do the others'");
    $cluster->query(some_writes(200));
    is($cluster->query('SELECT count(*) FROM t'), 300 + $next - 1000, "$what: a scan has every row");
    is($cluster->query('SELECT count(*) FROM t WHERE id = ANY (ARRAY(SELECT generate_series(1, 300)))', options => '-c dynamo_fdw.r=1'),
        300, "$what: reads of one owner are answered");
    $cluster->query("UPDATE t SET v = ARRAY['$what'] WHERE id <= 20");
    is($cluster->query("SELECT count(*) FROM t WHERE id <= 20 AND v = ARRAY['$what']", options => '-c dynamo_fdw.r=1'),
        20, "$what: no read is stale");
    my ($status, $out, $error) = $cluster->psql("INSERT INTO t (id, v) VALUES (1, '{x}')", options => '-c dynamo_fdw.w=3');
    isnt($status, 0, "$what: a write to all three owners fails");
    $cluster->query("UPDATE t SET v = ARRAY['value 1'] WHERE id = 1");
    return;
}

sub check_well
{
    my ($what) = @_;
    $cluster->await_all_up("$what: node 3 is up everywhere");
    $cluster->query(some_writes(200), options => '-c dynamo_fdw.w=3');
    $cluster->await("$what: it has all that it missed",
        sub { !grep { $cluster->console($_, 'SHOW HINTS') ne '' } 1 .. 3 });
    is($cluster->query('SELECT count(*) FROM t', options => '-c dynamo_fdw.r=3'), 300 + $next - 1000,
        "$what: all three owners together have every row");
    return;
}

# ---- the reserve is kept: RocksDB never meets the end of the disk ----
leave_kb(15 * 1024);
my $pid = $cluster->server(3)->{pid};
$cluster->query(some_writes(10));
check_ill('little room', 'full', qr/its disk is full: \d+ MB are free .*20 MB must be left \(disk_reserve_mb\)/);
unlink $ballast;
check_well('room again');
like($cluster->log_text(3), qr/this node takes writes again/, 'room again: its log says so');

# ---- the disk is full under it ----
$cluster->run('console', 3, '-qc', 'SHUTDOWN');
$cluster->await('node 3 has ended', sub { $cluster->server(3)->{state} eq 'down' });
{
    open my $file, '>>', "$folder/dynamo.conf" or die $!;
    print $file "disk_reserve_mb = 0\n";
}
$cluster->start(3);
check_well('without a reserve');
$pid = $cluster->server(3)->{pid};
leave_kb(0);
$cluster->await('no room: node 3 notices', sub { $cluster->query(some_writes(500)); (state_at(1))[0] eq 'full' }, 60);
check_ill('no room', 'full', qr/No space left on device/);
unlink $ballast;
check_well('room after all');
is($cluster->server(3)->{pid}, $pid, 'room after all: it was no other process');
like($cluster->log_text(3), qr/there is room on the disk again: the node closes its storage and opens it anew/, 'room after all: its log says so');

# ---- it may not write any more ----
must("chown -h root: $data.disk/data/rocksdb && chmod 755 $data.disk/data/rocksdb");
$cluster->await('no permission: node 3 notices', sub { $cluster->query(some_writes(500)); (state_at(1))[0] eq 'failed' }, 60);
check_ill('no permission', 'failed', qr/Permission denied/);
must("chown -h $user:$group $data.disk/data/rocksdb");
$cluster->kill(3);
$cluster->start(3);
check_well('permission again');

# ---- a sync fails ----
SKIP:
{
    skip 'needs strace', 1 if system('command -v strace >/dev/null 2>&1') != 0;
    my $tracer = IPC::Run::start(['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=fdatasync',
            '-e', 'inject=fdatasync:error=EIO', '-p', $cluster->server(3)->{pid}],
        '<', \undef, '>', \my $ignored, '2>', \my $complaints);
    my $attached = $cluster->await('a failed sync: node 3 notices',
        sub { $cluster->query(some_writes(10)); (state_at(1))[0] eq 'failed' }, 60);
    $tracer->signal('INT');
    eval { $tracer->finish };
    check_ill('a failed sync', 'failed', qr/Input\/output error/);
    is((state_at(3))[0], 'failed', 'a failed sync: no later one is believed');
    $cluster->kill(3);
    $cluster->start(3);
    check_well('a disk that syncs');
}

done_testing;
