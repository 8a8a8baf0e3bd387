# Nodes whose options or folder say that they are something else than they are: each says so in one
# clear line and ends, or works.
use strict;
use warnings;
use DynamoCluster;
use DynamoProgram;
use Test::More;
use Time::HiRes qw(sleep time);

my $scratch = scratch_folder();
my $node    = "$scratch/dynamo_node";
system('cp', DynamoCluster::program(), $node);
my @port = free_ports(4);
my $seeds = join ',', map { "127.0.0.1:$_" } @port[0, 1];

sub make
{
    my ($name, @settings) = @_;
    my @key = -e "$scratch/a/cluster.key" ? ('--cluster-key', "$scratch/a/cluster.key") : ();
    my ($status, $out, $error) = run_as_server([ $node, 'init', '-D', "$scratch/$name", @key, map { ('-c', $_) } @settings ]);
    ($status, $out, $error) = run_as_server([ $node, qw(user add admin --role admin -D), "$scratch/$name" ], in => "secret\n")
        if $status == 0;
    return ($status, $error);
}

sub start { my ($name) = @_; return start_as_server([ $node, '-D', "$scratch/$name" ], "$scratch/$name.log") }

# It ends by itself, and says why in one line.
sub ends
{
    my ($what, $name, $why) = @_;
    my ($status, $out, $error) = run_as_server([ $node, '-D', "$scratch/$name" ], seconds => 20);
    isnt($status, 0, "$what: it ends");
    isnt($status, -1, "$what: by itself");
    like($error, $why, "$what: it says why");
    my @lines = grep { /error|dynamo_node:/ } split /\n/, $error;
    is(scalar @lines, 1, "$what: in one line") or diag $error;
    return;
}

sub console
{
    my ($port, $command) = @_;
    local $ENV{PGPASSWORD} = 'secret';
    local $ENV{PGCONNECT_TIMEOUT} = 5;
    my ($status, $out, $error) = run_as_server([ DynamoCluster::pg_bin() . '/psql', '-h', '127.0.0.1', '-p', $port, '-U', 'admin', '-d', 'dynamo', '-XAtqc', $command ]);
    return $out . $error;
}

sub await
{
    my ($what, $condition) = @_;
    my $end = time + 20;
    sleep 0.05 while !$condition->() && time < $end;
    return ok($condition->(), $what);
}

# ---- what is known from the options alone ----
{
    my ($status, $error) = make('all', 'listen_address=0.0.0.0', "port=$port[0]");
    isnt($status, 0, '0.0.0.0 without advertise_address is refused');
    like($error, qr/needs advertise_address/, '0.0.0.0: with what is missing');
    ($status, $error) = make('any', 'advertise_address=0.0.0.0', "port=$port[0]");
    like($error, qr/advertise_address.*one address/, 'advertise_address 0.0.0.0 is refused');
    make('unknown', "port=$port[0]", "seeds=no-such-host.invalid:$port[0]");
    ends('a seed with an unknown name', 'unknown', qr/option "seeds": "no-such-host.invalid".*cannot be resolved/);
    make('unreachable', "port=$port[0]", "seeds=127.0.0.1:$port[0],192.0.2.1:7101");
    ends('an address that leads others to themselves', 'unreachable', qr/"advertise_address": seed 192\.0\.2\.1:7101 is on another machine and cannot reach this node at 127\.0\.0\.1/);
}

# ---- names work ----
make('a', "port=$port[0]", "seeds=localhost:$port[0],localhost:$port[1]", 'advertise_address=localhost');
make('b', "port=$port[1]", "seeds=$seeds");

# ---- two seeds on one folder ----
{
    run_as_server([ 'cp', '-a', "$scratch/a", "$scratch/twin" ]);
    my @twins = (start('a'), start_as_server([ $node, '-D', "$scratch/twin", '-c', "port=$port[1]" ], "$scratch/twin.log"));
    await('of twins before there is a cluster the one that meets the other ends, and says why',
        sub { grep { slurp("$scratch/$_.log") =~ /error.*has this node's member id.*this node stops/ } qw(a twin) });
    kill 'KILL', @twins;
    end_of($_) for @twins;
}
start('a');
start('b');
await('a cluster forms of seeds by name and by address', sub { (() = console($port[0], 'SHOW NODES') =~ /\|up\|/g) == 2 });

# ---- once there is a cluster ----
{
    my ($status, $out, $error) = run_as_server([ $node, '-D', "$scratch/twin", '-c', "port=$port[2]" ], seconds => 20);
    isnt($status, 0, 'a folder from before the cluster, elsewhere, ends');
    run_as_server([ 'rm', '-r', "$scratch/twin" ]);
    run_as_server([ 'cp', '-a', "$scratch/b", "$scratch/twin" ]);
    ($status, $out, $error) = run_as_server([ $node, '-D', "$scratch/twin", '-c', "port=$port[2]" ], seconds => 20);
    isnt($status, 0, 'a twin in a cluster ends');
    like($error, qr/error.*member id at 127\.0\.0\.1:$port[1], but this node is configured for 127\.0\.0\.1:$port[2]/, 'a twin in a cluster: it says why');
    ($status, $out, $error) = run_as_server([ $node, '-D', "$scratch/b" ], seconds => 20);
    isnt($status, 0, 'the same folder twice is refused');
    like($error, qr/another node \(process \d+\) runs on/, 'the same folder twice: it says why');
    make('other', "port=$port[2]", "seeds=$seeds", 'advertise_address=127.0.0.1');
    open my $file, '>>', "$scratch/other/dynamo.conf" or die $!;
    print $file "port = $port[1]\nlisten_address = 127.0.0.2\n";
    close $file;
    ends('a node with another one\'s address', 'other', qr/error.*the cluster has node \S+, which has another member id, at this node's address 127\.0\.0\.1:$port[1]/);
}
is((() = slurp("$scratch/a.log") =~ /this node's member id/g) < 3, 1, 'nobody fills the log with it');

done_testing;
