# One dynamo_node by itself: its command line, its folder, its start and stop, and who may come in.
use strict;
use warnings;
use DynamoCluster;
use DynamoProgram;
use Test::More;
use Time::HiRes qw(sleep time);

my $scratch = scratch_folder();
my $node    = "$scratch/dynamo_node";
system('cp', DynamoCluster::program(), $node);
my ($port, $other_port) = free_ports(2);
my $psql = DynamoCluster::pg_bin() . '/psql';

# Runs dynamo_node to its end.
sub node { return run_as_server([$node, @_]) }

# A command that must fail: exit status not 0, the message on standard error.
sub fails
{
    my ($what, $message, @arguments) = @_;
    my ($status, $out, $error) = node(@arguments);
    isnt($status, 0, "$what fails");
    like($error, $message, "$what says why");
}

sub make_node
{
    my ($dir, @settings) = @_;
    my ($status, $out, $error) = node('init', '-D', $dir, map { ('-c', $_) } @settings);
    is($status, 0, "init -D $dir") or diag $error;
    ($status, $out, $error) = run_as_server([$node, qw(user add admin --role admin -D), $dir], in => "secret\n");
    is($status, 0, 'user add') or diag $error;
}

# psql on a port: exit status, output, error.
sub psql
{
    my ($to, $password, @arguments) = @_;
    local $ENV{PGPASSWORD}        = $password;
    local $ENV{PGCONNECT_TIMEOUT} = 5;
    return run_as_server([$psql, '-h', '127.0.0.1', '-p', $to, '-U', 'admin', '-d', 'dynamo', '-XAtq', @arguments]);
}

sub await_answer
{
    my ($to, $seconds) = @_;
    my $end = time + ($seconds // 20);
    while (time < $end)
    {
        my ($status) = psql($to, 'secret', '-c', 'SHOW VERSION');
        return 1 if $status == 0;
        sleep 0.05;
    }
    return 0;
}

# ---- the command line ----
{
    my ($status, $out, $error) = node('--help');
    is($status, 0, '--help');
    like($out, qr/Usage:.*init -D DIR/s, '--help shows how to use it');
    ($status, $out, $error) = node('--version');
    is($status, 0, '--version');
    like($out, qr/^dynamo_node .*\d+\.\d+/, '--version has a version');
    fails('no arguments',          qr/-D DIR/);
    fails('an unknown argument',   qr/unrecognized option|--help/, '--frobnicate');
    fails('an unknown command',    qr/unknown command/, 'frobnicate', '-D', "$scratch/none");
    fails('a folder without node', qr/none/, '-D', "$scratch/none");
}

# ---- init ----
my $dir = "$scratch/one";
make_node($dir, "port=$port", "seeds=127.0.0.1:$port", 'partitions=16');
{
    my $config = slurp("$dir/dynamo.conf");
    like($config, qr/^port = $port$/m, 'the configuration has what was asked for');
    for my $option (qw(listen_address advertise_address seeds partitions zone ssl request_timeout_ms max_value_bytes))
    {
        like($config, qr/^#?\s*\Q$option\E\s*=/m, "the configuration shows $option");
    }
    is((stat "$dir/cluster.key")[2] & 0777, 0600, 'the cluster key is for its owner only');
    is((stat "$dir/users")[2] & 0777,       0600, 'so is the list of users');
    is((stat $dir)[2] & 0777,               0700, 'and the folder');
    unlike(slurp("$dir/users"), qr/secret/, 'the list of users has no password in it');
    fails('init on a node', qr/not empty/, 'init', '-D', $dir);
    fails('init with an unknown option', qr/colour/,  'init', '-D', "$scratch/bad", '-c', 'colour=red');
    fails('init with a bad value',       qr/port/,    'init', '-D', "$scratch/bad", '-c', 'port=99999');
    fails('init with a file that is no key', qr/key/, 'init', '-D', "$scratch/bad", '--cluster-key', "$dir/dynamo.conf");
    fails('a user without a password', qr/no password/, qw(user add bob -D), $dir);
    for my $case (
        [ 'a user that exists',       qr/admin/,    'admin' ],
        [ 'a name of the node\'s own', qr/reserved/, '_peer' ],
        [ 'an unknown role',          qr/role/,     'bob', '--role', 'emperor' ])
    {
        my ($what, $message, @arguments) = @$case;
        my ($status, $out, $error) = run_as_server([$node, qw(user add), @arguments, '-D', $dir], in => "word\n");
        isnt($status, 0, "$what fails");
        like($error, $message, "$what says why");
    }
}

# ---- start, and what it answers ----
my $log = "$scratch/one.log";
my $pid = start_as_server([$node, '-D', $dir], $log);
ok(await_answer($port), 'the node answers') or diag slurp($log);
like(slurp($log), qr/^\d{4}-\d\d-\d\d.\d\d:\d\d:\d\d\S*\s+(?:\S+\s+)?info\s+node_$port\s/m,
    'a log line has time, level and name');
{
    my ($status, $out, $error) = psql($port, 'secret', '-c', 'SHOW CONFIG');
    like($out, qr/^partitions\|16\b/m, 'SHOW CONFIG');
    ($status, $out, $error) = psql($port, 'secret', '-c', 'SELECT * FROM pg_class', '-c', 'SHOW VERSION');
    like($error, qr/ERROR/, 'SQL that a node does not know is an error');
    like($out, qr/1\.0/, 'and the session goes on');
    ($status, $out, $error) = psql($port, 'wrong', '-c', 'SHOW VERSION');
    isnt($status, 0, 'a wrong password does not get in');
    like($error, qr/password authentication failed for user "admin"/, 'and is told so');
    ($status, $out, $error) = psql($port, 'secret', '-d', 'shop', '-c', 'SHOW VERSION');
    like($error, qr/database.* does not exist/, 'another database is refused');
    ($status, $out, $error) = psql($port, 'secret', '-U', 'nobody_here', '-c', 'SHOW VERSION');
    like($error, qr/password authentication failed/, 'an unknown user gets the same answer as a wrong password');
    unlike(slurp($log), qr/secret/, 'the log has no password in it');
}
SKIP:
{
    skip 'not root', 2 if $> != 0;
    my ($out, $error) = ('', '');
    IPC::Run::run([$node, '-D', $dir], '<', \undef, '>', \$out, '2>', \$error, IPC::Run::timeout(30));
    isnt($?, 0, 'root may not run a node');
    like($error, qr/root/, 'and is told so');
}

# ---- starts that must fail ----
fails('a second start on the same folder', qr/one|lock|running/, '-D', $dir);
make_node("$scratch/two", "port=$port", "seeds=127.0.0.1:$port");
fails('a port that is taken',     qr/\b$port\b.*in use/, '-D', "$scratch/two");
fails('an option that is not there', qr/colour/,         '-D', "$scratch/two", '-c', 'colour=red');

sub edit
{
    my ($file, $change) = @_;
    my $text = slurp($file);
    local $_ = $text;
    $change->();
    open my $out, '>', $file or die "$file: $!";
    print $out $_;
    close $out;
    return $text;
}

{
    my $conf = "$scratch/two/dynamo.conf";
    my $was = edit($conf, sub { $_ .= "colour = red\n" });
    my $line = 1 + ($was =~ tr/\n//);
    fails('an unknown option in the file', qr/dynamo\.conf.*\b$line\b.*colour|dynamo\.conf:$line/, '-D', "$scratch/two");
    edit($conf, sub { $_ = $was =~ s/^port = .*$/port = many/mr });
    fails('a bad value in the file', qr/port/, '-D', "$scratch/two");
    edit($conf, sub { $_ = $was =~ s/^port = .*$/port = $other_port/mr });
}
{
    my $was = edit("$scratch/two/VERSION", sub { s/\d+/99/ });
    fails('a folder of another version', qr/99.*\b1\b|\b1\b.*99/, '-D', "$scratch/two");
    edit("$scratch/two/VERSION", sub { $_ = $was });
}
chmod 0644, "$scratch/two/users";
fails('a list of users that others can read', qr/users/, '-D', "$scratch/two");
chmod 0600, "$scratch/two/users";

# ---- SIGHUP and SIGTERM ----
edit("$dir/dynamo.conf", sub { s/^#?\s*request_timeout_ms\s*=.*$/request_timeout_ms = 4321/m });
kill 'HUP', $pid;
{
    my $end = time + 20;
    my $seen = '';
    until ($seen =~ /4321/ || time > $end)
    {
        $seen = (psql($port, 'secret', '-c', 'SHOW CONFIG'))[1];
        sleep 0.05;
    }
    like($seen, qr/^request_timeout_ms\|4321\b/m, 'SIGHUP takes a new value');
}
kill 'TERM', $pid;
is(end_of($pid), 0, 'SIGTERM ends the node with status 0');
isnt((psql($port, 'secret', '-c', 'SHOW VERSION'))[0], 0, 'and then nobody answers');

$pid = start_as_server([$node, '-D', $dir], $log);
ok(await_answer($port), 'it starts again on its folder') or diag slurp($log);
unlike((psql($port, 'secret', '-c', 'SHUTDOWN'))[2], qr/ERROR/, 'SHUTDOWN is taken');
is(end_of($pid), 0, 'and ends the node with status 0');

done_testing;
