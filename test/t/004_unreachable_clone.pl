# A clone under a folder that only root may enter: the servers' user cannot reach it, and the demo and
# test/cluster work all the same, also twice, and leave nothing behind.
use strict;
use warnings;
use Cwd qw(getcwd);
use DynamoCluster;
use DynamoProgram;
use File::Temp ();
use IPC::Run ();
use Test::More;

plan skip_all => 'servers run as the caller unless that is root' if $> != 0;

my $private = File::Temp::tempdir('dynamo-test.XXXXXX', DIR => '/var/tmp', CLEANUP => 1);
chmod 0700, $private;
my $clone = "$private/clone";
my $root  = DynamoCluster::root();

# The sources and what is built of them, so that this test does not take a build's time.
system("mkdir '$clone' && cd '$root' && tar -cf - --exclude=./.git --exclude=./build . | tar -xf - -C '$clone'"
    . " && mkdir '$clone/build' && cp -a build/release '$clone/build/'") == 0
    or die "could not copy the tree";

sub make
{
    my (@arguments) = @_;
    my ($out, $error) = ('', '');
    # Another test's choice of build and folder is not this clone's.
    local @ENV{qw(MODE CLUSTER_DIR)};
    delete @ENV{qw(MODE CLUSTER_DIR MAKEFLAGS MFLAGS MAKELEVEL)};
    my $harness = IPC::Run::start([ 'make', '--no-print-directory', '-C', $clone, @arguments ],
        '<', \undef, '>', \$out, '2>', \$error, IPC::Run::timeout(400));
    eval { $harness->finish; 1 } or do { $harness->kill_kill; return (-1, $out, "$error$@") };
    return ($harness->full_result(0) >> 8, $out, $error);
}

END { my $status = $?; make('demo-stop') if $clone && -d $clone; $? = $status }

# Processes that run from the clone or from where its servers went.
sub processes
{
    my ($place) = @_;
    return grep { my $line = slurp("/proc/$_/cmdline"); $line =~ /\Q$place\E/ }
        map { m{(\d+)$} } glob '/proc/[0-9]*';
}

for my $time ('first', 'second')
{
    my ($status, $out, $error) = make('demo');
    is($status, 0, "the $time demo runs to its end") or diag $out, $error;
    like($out, qr/It is yours now/, "the $time demo says how to go on");
    my ($place) = $out =~ m{cannot reach .*? are in (/\S+)};
    ok($place && -d $place, "the $time demo says where its servers are");
    ok(processes($place), 'they run there');
    next if $time eq 'first';

    ($status, $out, $error) = make('demo-stop');
    is($status, 0, 'make demo-stop') or diag $error;
    is_deeply([ processes($place) ], [], 'nothing runs any more');
    ok(!-e $place, 'the folder is gone');
    ok(!-e "$clone/build/demo/state", 'and the state');
}
my ($status, $out, $error) = make('demo-stop');
is($status, 0, 'make demo-stop with nothing to stop');

done_testing;
