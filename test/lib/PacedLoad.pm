package PacedLoad;

# Clients of a DynamoCluster's PostgreSQL that read and write the table t of DynamoLoad at a steady
# pace, in a process of their own, and what became of each statement. No statement ends a client.
#
#     my $clients = PacedLoad->start($cluster, rate => 100,
#         clients => [{ class => 'quorum', kind => 'write', set => { r => 2, w => 2 }, from => 1_000_000 }]);
#     ...
#     my @statements = $clients->finish;
#
# A client either writes new keys (from + 1, from + 2, ...: 'value KEY') or reads old ones. A statement
# is due at its time whether or not the one before has ended, and its latency counts from when it was
# due: whoever would have come while a client waits has waited too.
use strict;
use warnings;
use File::Temp ();
use IO::Select;
use IO::Socket::UNIX;
use List::Util qw(max min);
use POSIX ();
use Time::HiRes qw(sleep time);

my $old_keys     = 500;    # DynamoLoad's
my $last_seconds = 30;     # that a statement under way may still take when the load is to end

# start($cluster, rate => statements a second of each client, clients => [...]): returns once all are
# connected and have been answered once.
sub start
{
    my ($class, $cluster, %option) = @_;
    my $file = File::Temp->new;
    pipe my $until, my $control or die "pipe: $!";
    pipe my $ready, my $started or die "pipe: $!";
    STDOUT->flush;
    my $self = bless { file => $file, control => $control }, $class;
    my $socket = $cluster->query('SHOW unix_socket_directories') . '/.s.PGSQL.'
        . $cluster->server('postgres')->{port};
    $self->{pid} = fork // die "fork: $!";
    if ($self->{pid})
    {
        close $_ for $until, $started;
        readline $ready;
        return $self;
    }

    # Neither the parent's signal handlers nor its END blocks are this process's.
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
    close $_ for $control, $ready;
    my $status = eval { play($file, $until, $started, $socket, %option); 0 } // 1;
    print {*STDERR} "load: $@" if $status != 0;
    POSIX::_exit($status);
}

# Ends the load. Its statements, in the order in which they ended: { begin, end (seconds since the
# epoch), ms, class, kind, key, state (SQLSTATE, 00000 for success), message }. A read that did not
# find the one value that was written has the state WRONG, a statement that never ended HUNG.
sub finish
{
    my ($self) = @_;
    close delete $self->{control};
    waitpid $self->{pid}, 0;
    die "the load failed\n" if $? != 0;
    my @statements;
    open my $in, '<', $self->{file}->filename or die $!;
    while (defined(my $line = <$in>))
    {
        chomp $line;
        my %one;
        @one{qw(begin end class kind key state message)} = split /\t/, $line, 7;
        $one{ms} = 1000 * ($one{end} - $one{begin});
        push @statements, \%one;
    }
    return @statements;
}

# ---- in the process of the load ----

sub play
{
    my ($file, $until, $started, $socket, %option) = @_;
    my @clients = map { { %$_, number => $_->{from}, out => $file, socket => $socket } } @{ $option{clients} };
    connect_client($_) for @clients;
    close $started;
    my $interval = 1 / $option{rate};
    my $begin = time;
    $clients[$_]{due} = $begin + $interval * $_ / @clients for 0 .. $#clients;

    my $end;
    while (!defined $end || (grep { $_->{busy} } @clients) && time < $end + $last_seconds)
    {
        my $now = time;
        my @idle = defined $end ? () : grep { !$_->{busy} } @clients;
        for my $client (grep { $_->{due} <= $now } @idle)
        {
            begin_statement($client, $interval);
        }
        my $wait = min 0.5, map { $_->{due} - $now } grep { !$_->{busy} } @idle;
        my %by_handle = map { $_->{handle} => $_ } @clients;
        for my $handle (
            IO::Select->new((defined $end ? () : $until), map { $_->{handle} } @clients)->can_read(max 0, $wait))
        {
            if ($handle == $until) { $end = time }
            else                   { receive($by_handle{$handle}) }
        }
    }
    end_statement($_, 'HUNG', "not answered $last_seconds s after the end") for grep { $_->{busy} } @clients;
    $file->flush;
    return;
}

# Logs in through the socket, where everyone is trusted, and prepares the statements.
sub connect_client
{
    my ($client) = @_;
    $client->{handle} = IO::Socket::UNIX->new(Peer => $client->{socket})
        or die "$client->{socket}: $!\n";
    @$client{qw(buffer answer)} = ('', {});
    my $startup = pack 'N Z* Z* Z* Z* x', 196608, 'user', 'postgres', 'database', 'dynamo';
    syswrite $client->{handle}, pack('N', 4 + length $startup) . $startup;
    await_ready($client);
    for my $sql (
        (map { "SET dynamo_fdw.$_ = $client->{set}{$_}" } sort keys %{ $client->{set} // {} }),
        q{PREPARE write (bigint) AS INSERT INTO t (id, v) VALUES ($1, ARRAY['value ' || $1])},
        'PREPARE read (bigint) AS SELECT v FROM t WHERE id = $1',
        'EXECUTE read (1)')
    {
        send_query($client, $sql);
        await_ready($client);
    }
    return;
}

sub send_query
{
    my ($client, $sql) = @_;
    $client->{answer} = {};
    syswrite $client->{handle}, pack('a N Z*', 'Q', 5 + length $sql, $sql);
    return;
}

sub await_ready
{
    my ($client) = @_;
    until ($client->{answer}{ready})
    {
        read_answer($client) or die "PostgreSQL closed a connection\n";
    }
    my $failure = $client->{answer}{failure};
    die "$failure->{C}: $failure->{M}\n" if $failure;
    return;
}

sub begin_statement
{
    my ($client, $interval) = @_;
    my $kind = $client->{kind};
    my $key = $client->{key} = $kind eq 'write' ? ++$client->{number} : 1 + int rand $old_keys;
    $client->{busy} = 1;
    $client->{begin} = $client->{due};
    $client->{due} += $interval;
    send_query($client, "EXECUTE $kind ($key)");
    return;
}

sub end_statement
{
    my ($client, $state, $message) = @_;
    print { $client->{out} } join("\t", @$client{qw(begin)}, time, @$client{qw(class kind key)},
        $state, $message =~ s/\s+/ /gr), "\n";
    $client->{busy} = 0;
    return;
}

# What has come. A connection that is lost fails its statement, and is made anew.
sub receive
{
    my ($client) = @_;
    if (!read_answer($client))
    {
        end_statement($client, '08006', 'PostgreSQL closed the connection') if $client->{busy};
        connect_client($client);
        return;
    }
    return if !$client->{answer}{ready} || !$client->{busy};
    my ($failure, $row) = @{ $client->{answer} }{qw(failure row)};
    my $wanted = $client->{kind} eq 'read' ? qq({"before $client->{key}"}) : undef;
    if ($failure)
    {
        end_statement($client, $failure->{C}, join '; ', grep { defined } @$failure{qw(M D)});
    }
    elsif (defined $wanted && ($row // '') ne $wanted)
    {
        end_statement($client, 'WRONG', "key $client->{key}: " . ($row // 'no row'));
    }
    else
    {
        end_statement($client, '00000', '');
    }
    return;
}

# Reads what is there and takes whole messages from it. False at the end of the connection.
sub read_answer
{
    my ($client) = @_;
    sysread $client->{handle}, $client->{buffer}, 65536, length $client->{buffer} or return 0;
    while (length $client->{buffer} >= 5)
    {
        my ($type, $length) = unpack 'a N', $client->{buffer};
        last if length $client->{buffer} < 1 + $length;
        my $body = substr substr($client->{buffer}, 0, 1 + $length, ''), 5;
        my $answer = $client->{answer};
        if    ($type eq 'Z') { $answer->{ready} = 1 }
        elsif ($type eq 'D') { $answer->{row} = unpack 'x2 N/a*', $body }
        elsif ($type eq 'E') { $answer->{failure} //= { $body =~ /(.)([^\0]*)\0/gs } }
    }
    return 1;
}

1;
