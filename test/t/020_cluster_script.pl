# test/cluster as people and other tests use it: folders, running twice, PGOPTIONS, wipe, add, clear
# errors.
use strict;
use warnings;
use DynamoCluster;
use DynamoProgram;
use File::Temp ();
use Test::More;

# An existing empty folder, owned by the caller (root's own, when that is root).
my $folder  = File::Temp::tempdir('dynamo-test.XXXXXX', DIR => '/var/tmp', CLEANUP => 1);
chmod 0755, $folder;
my $cluster = DynamoCluster->new(nodes => 3, dir => $folder, config => ['partitions=64']);
sub run { return $cluster->run(@_) }

sub fails
{
    my ($what, $message, @arguments) = @_;
    my ($status, $out, $error) = run(@arguments);
    isnt($status, 0, "$what fails");
    like($error, $message, "$what says why");
}

# ---- what a person finds ----
like($cluster->console(2, 'SHOW CONFIG'), qr/^partitions\|64\b/m, '-c reached the nodes');
is($cluster->query('SELECT srvname FROM pg_foreign_server ORDER BY 1'), "dynamo\ndynamo_admin",
    'the database has a server, and one for admins');
is($cluster->query('SHOW session_preload_libraries'), 'dynamo_fdw', 'and the library from the start');
$cluster->query(q{CREATE FOREIGN TABLE t (id bigint OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 't')});
$cluster->query(q{INSERT INTO t SELECT i, ARRAY['v' || i] FROM generate_series(1, 50) i});
is($cluster->query('SELECT count(*) FROM t'), 50, 'and CREATE FOREIGN TABLE is the next thing to type');
is($cluster->query('SHOW dynamo_fdw.r', options => '-c dynamo_fdw.r=1'), 1, 'psql keeps PGOPTIONS');
{
    my ($status, $out, $error) = run('psql', '-XAtc', 'SELECT 1', '-c', 'SELECT 2');
    is($out, "1\n2\n", 'psql takes arguments');
    ($status, $out) = run('psql', '-XAtc', 'SELECT 1/0');
    is($status, 1, 'and gives its exit status');
}
SKIP:
{
    skip 'not root', 1 if $> != 0;
    isnt((stat('/proc/' . $cluster->server(1)->{pid}))[4], 0, 'no node runs as root');
}

# ---- twice ----
{
    my ($status, $out, $error) = run('up');
    is($status, 0, 'up again');
    like($out, qr/up already/, 'says that it is up');
    fails('up with another number of nodes', qr/down/, 'up', '--nodes', '5');
    $cluster->kill(3);
    ($status, $out, $error) = run('kill', 3);
    is($status, 0, 'kill again');
    is($cluster->server(3)->{state}, 'down', 'status tells');
    ($status) = run('up');
    is($status, 0, 'up starts what is down');
    is($cluster->server(3)->{state}, 'running', 'so it runs');
    ($status) = run('start', 3);
    is($status, 0, 'start again');
    $cluster->stop(2);
    is($cluster->server(2)->{state}, 'stopped', 'status tells a stopped node from a running one');
    $cluster->cont(2);
    $cluster->await_all_up;
}

# ---- wipe ----
{
    my $dir = $cluster->node_folder(1);
    my %kept = map { $_ => slurp("$dir/$_") } qw(dynamo.conf member cluster.key users);
    fails('wipe of a running node', qr/kill/, 'wipe', 1);
    $cluster->kill(1);
    $cluster->wipe(1);
    is_deeply([ glob "$dir/data/*" ], [], 'wipe empties the data directory');
    is(slurp("$dir/$_"), $kept{$_}, "and keeps $_") for sort keys %kept;
    $cluster->start(1);
    $cluster->await_all_up('the wiped node comes back');
    is($cluster->query('SELECT count(*) FROM t'), 50, 'and nothing is lost');
}

# ---- add ----
{
    my ($status, $out, $error) = run('add');
    is($status, 0, 'add') or diag $error;
    is($cluster->server(4)->{state}, 'running', 'the new node runs');
    my $ports = join '|', map { $cluster->port($_) } 1 .. 3;
    like($cluster->console(4, 'SHOW CONFIG'), qr/^seeds\|.*(?:$ports)/m, 'and knows the seeds');
    is($cluster->query('SELECT count(*) FROM t'), 50, 'the others go on');
}

# ---- errors ----
fails('no such node',       qr/1 to 4/,            'kill', 9);
fails('no node',            qr/which node/,        'kill');
fails('a word for a node',  qr/no node "one"/,     'stop', 'one');
$cluster->kill(2);
fails('cont of a dead one', qr/start 2/,           'cont', 2);
fails('unknown command',    qr/unknown command/,   'frobnicate');
fails('unknown argument',   qr/unknown argument/,  'down', '--hard');
{
    my $other = File::Temp::tempdir('dynamo-test.XXXXXX', DIR => '/var/tmp', CLEANUP => 1);
    my %env = (env => { CLUSTER_DIR => $other });
    my ($status, $out, $error) = $cluster->run_with(\%env, 'status');
    like($error, qr/no cluster in \Q$other\E/, 'status without a cluster');
    ($status, $out, $error) = $cluster->run_with(\%env, 'up', '--nodes', 'many');
    like($error, qr/--nodes/, 'up with a bad number');
    ($status, $out, $error) = $cluster->run_with(\%env, 'up', '--nodes', 1, '-c', 'colour=red');
    isnt($status, 0, 'up with an unknown option of a node fails');
    like($error, qr/colour/, 'and says why');
    ok(!-e "$other/state", 'and leaves nothing');
    my $taken = $cluster->port(1);
    ($status, $out, $error) = $cluster->run_with(\%env, 'up', '--nodes', 1, '--port', $taken);
    like($error, qr/\b$taken\b/, 'up on a port that is taken');
    open my $file, '>', "$other/somebody's" or die $!;
    close $file;
    ($status, $out, $error) = $cluster->run_with(\%env, 'up');
    like($error, qr/other files/, 'up in a folder with other things in it');
}

# ---- down ----
{
    my @pids = map { $cluster->server($_)->{pid} } 1, 3, 4, 'postgres';
    my ($status, $out, $error) = run('down', '--keep');
    is($status, 0, 'down --keep');
    ($status) = run('up');
    is($status, 0, 'up again from what was kept');
    $cluster->await_all_up;
    is($cluster->query('SELECT count(*) FROM t'), 50, 'with the rows');
    ($status) = run('down');
    is($status, 0, 'down');
    is_deeply([ grep { kill 0, $_ and slurp("/proc/$_/cmdline") =~ /\Q$folder\E/ } @pids ], [], 'nothing runs');
    is_deeply([ glob "$folder/*" ], [], 'nothing is left in the folder');
    ok(-d $folder, 'which was there before, and stays');
    ($status) = run('down');
    is($status, 0, 'down again');
}

done_testing;
