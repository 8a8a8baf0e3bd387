package DynamoProgram;

# Single programs, for tests of the daemon itself: run one to its end, or start a server and end it.
# Started by root they run as an unprivileged user. Whatever still runs ends with the test.
use strict;
use warnings;
use Exporter qw(import);
use File::Temp ();
use IO::Socket::INET ();
use IPC::Run ();
use POSIX ();
use Time::HiRes qw(sleep time);

our @EXPORT = qw(as_server scratch_folder run_as_server start_as_server end_of free_ports slurp);

my %children;    # servers by process id

# The first signal ends the test; a second must not end its cleaning up.
$SIG{INT} = $SIG{TERM} = $SIG{HUP} = sub { @SIG{qw(INT TERM HUP)} = ('IGNORE') x 3; exit 1 };
END
{
    my $status = $?;
    if (%children)
    {
        kill 'CONT', keys %children;
        kill 'KILL', keys %children;
        waitpid $_, 0 for keys %children;
    }
    $? = $status;
}

# The words before a command that make it run as the user that may run servers.
sub as_server
{
    return () if $> != 0;
    my $user = defined getpwnam('postgres') ? 'postgres' : 'nobody';
    my ($uid, $gid) = (getpwnam($user))[2, 3];
    return ('setpriv', "--reuid=$uid", "--regid=$gid", '--clear-groups', '--');
}

# A folder that the servers' user owns, removed with the test.
sub scratch_folder
{
    my $folder = File::Temp::tempdir('dynamo-test.XXXXXX', DIR => '/var/tmp', CLEANUP => 1);
    my $owner = (as_server())[1] // '';
    chown $1, -1, $folder if $owner =~ /(\d+)$/;
    return $folder;
}

# Runs a command as that user, at most a minute; returns exit status, output and error.
sub run_as_server
{
    my ($command, %how) = @_;
    my ($out, $error) = ('', '');
    my $in = $how{in} // '';
    my $harness = IPC::Run::start([as_server(), @$command], '<', \$in, '>', \$out, '2>', \$error,
        IPC::Run::timeout($how{seconds} // 60));
    eval { $harness->finish; 1 } or do
    {
        $harness->kill_kill(grace => 1);
        return (-1, $out, "$error(no end)");
    };
    return ($harness->full_result(0) >> 8, $out, $error);
}

# Starts a server as that user, its output to a file; returns its process id. Ended with the test.
sub start_as_server
{
    my ($command, $log) = @_;
    my $pid = fork // die "fork: $!";
    if ($pid == 0)
    {
        open STDIN,  '<', '/dev/null';
        open STDOUT, '>>', $log or POSIX::_exit(127);
        open STDERR, '>&', \*STDOUT;
        exec(as_server(), @$command) or POSIX::_exit(127);
    }
    $children{$pid} = 1;
    return $pid;
}

# Waits for the end of such a server; its exit status, or undef when it still runs after seconds.
sub end_of
{
    my ($pid, $seconds) = @_;
    my $end = time + ($seconds // 30);
    while (time < $end)
    {
        if (waitpid($pid, POSIX::WNOHANG()) == $pid)
        {
            delete $children{$pid};
            return $? & 127 ? "signal " . ($? & 127) : $? >> 8;
        }
        sleep 0.02;
    }
    return undef;
}

# N ports that can be bound now, below the range that outgoing connections draw from.
sub free_ports
{
    my ($count) = @_;
    my %got;
    while (keys %got < $count)
    {
        my $port = 15000 + int rand 15000;
        $got{$port} = 1
            if IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 1,
                ReuseAddr => 1);
    }
    return sort { $a <=> $b } keys %got;
}

sub slurp
{
    my ($path) = @_;
    open my $file, '<', $path or return '';
    local $/;
    return scalar(<$file>) // '';
}

1;
