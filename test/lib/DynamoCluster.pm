package DynamoCluster;

# A cluster for one test: test/cluster with a folder of its own, and what tests ask of it.
#
#     my $cluster = DynamoCluster->new(nodes => 3);
#     $cluster->query('CREATE FOREIGN TABLE ...');          # dies on an error
#     my ($status, $out, $error) = $cluster->psql('SELECT 1');
#     $cluster->kill(2);
#     $cluster->await('node 2 is missed', sub { $cluster->console(1, 'SHOW NODES') =~ /down/ });
#
# The cluster ends with the object, with the test, and when the test is interrupted. When a test
# fails its folder's logs are kept in build/check/logs/NAME.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(basename dirname);
use File::Path qw(make_path);
use IPC::Run ();
use Test::More;
use Time::HiRes qw(sleep time);

my $root = abs_path(dirname(__FILE__) . '/../..');
my %alive;    # by folder

# A disk that stands still for some seconds, as one that many share does, is no failure of what is
# tested. What a test gives as its own comes after and counts.
my @patience = ('-c', 'request_timeout_ms=20000', '--pg', 'dynamo_fdw.request_timeout=20s');

# The first signal ends the test; a second must not end its cleaning up.
$SIG{INT} = $SIG{TERM} = $SIG{HUP} = sub { @SIG{qw(INT TERM HUP)} = ('IGNORE') x 3; exit 1 };
$SIG{PIPE} = 'IGNORE';    # a psql that ends early leaves its input unread
END
{
    my $status = $?;
    $_->down for values %alive;
    $? = $status;
}

sub root { return $root }
sub program { return "$root/build/" . ($ENV{MODE} // 'release') . '/bin/dynamo_node' }

# The folder of PostgreSQL's programs.
sub pg_bin
{
    chomp(my $config = `$root/test/pg-config`);
    chomp(my $folder = `$config --bindir`);
    return $folder;
}

# new(nodes => N, config => ['name=value'], up => ['--no-postgres'], dir => FOLDER, script => PATH)
sub new
{
    my ($class, %option) = @_;
    my $name = basename($0) =~ s/\.pl$//r;
    my $self = bless {
        script => $option{script} // "$root/test/cluster",
        dir    => $option{dir}    // folder($name),
        name   => $name,
        mode   => $ENV{MODE} // 'release',
    }, $class;

    $self->run('down');
    $alive{$self->{dir}} = $self;
    my @arguments = ('--nodes', $option{nodes} // 3, @patience, @{ $option{up} // [] });
    push @arguments, '-c', $_ for @{ $option{config} // [] };
    my ($status, $out, $error) = $self->run('up', @arguments);
    die "test/cluster up @arguments: $out$error" if $status != 0;
    return $self;
}

# A folder of this run's own: the same test may run twice at a time. test/check ends what is left
# in the folders that carry its process id.
sub folder
{
    my ($name) = @_;
    my $run = $ENV{CHECK_RUN} // $$;
    my $number = 0;
    $number++ while $alive{"$root/build/check/run-$run-$name.$number"};
    return "$root/build/check/run-$run-$name.$number";
}

# Runs test/cluster; returns exit status, standard output and standard error.
sub run
{
    my ($self, @arguments) = @_;
    return $self->run_with({}, @arguments);
}

# The same with more environment, with input, or with a limit: {env => {}, in => '', seconds => 60}.
sub run_with
{
    my ($self, $how, @arguments) = @_;
    local %ENV = (%ENV, CLUSTER_DIR => $self->{dir}, %{ $how->{env} // {} });
    my ($out, $error) = ('', '');
    my $in = $how->{in} // '';
    my $harness = IPC::Run::start([$self->{script}, @arguments], '<', \$in, '>', \$out, '2>', \$error,
        IPC::Run::timeout($how->{seconds} // 180));
    eval { $harness->finish; 1 } or do
    {
        my $why = $@;
        $harness->kill_kill(grace => 1);
        return (-1, $out, "$error$why");
    };
    utf8::decode($out);
    utf8::decode($error);
    return ($harness->full_result(0) >> 8, $out, $error);
}

# psql on the database; quiet, unaligned, tuples only, stops at the first error.
# psql($sql, options => '-c dynamo_fdw.r=1', seconds => 60)
sub psql
{
    my ($self, $sql, %option) = @_;
    utf8::encode($sql) if utf8::is_utf8($sql);
    my ($status, $out, $error) = $self->run_with(
        { in => "$sql\n", seconds => $option{seconds}, env => { PGOPTIONS => $option{options} // '' } },
        'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-f', '-');
    chomp $out;
    return ($status, $out, $error);
}

# The output of SQL that must succeed.
sub query
{
    my ($self, $sql, %option) = @_;
    my ($status, $out, $error) = $self->psql($sql, %option);
    die "query failed: $sql\n$error" if $status != 0;
    return $out;
}

# What a node's console answers; dies on an error.
sub console
{
    my ($self, $node, $command, @more) = @_;
    my ($status, $out, $error) = $self->run('console', $node, '-XAt', @more, '-c', $command);
    die "node $node: $command: $error" if $status != 0;
    chomp $out;
    return $out;
}

# Starts psql on a script of statements and returns at once. finish() it. background($sql, seconds => 60)
sub background
{
    my ($self, $sql, %option) = @_;
    local %ENV = (%ENV, CLUSTER_DIR => $self->{dir});
    my $session = { in => "$sql\n", out => '', error => '' };
    $session->{harness} = IPC::Run::start([$self->{script}, 'psql', '-XAt', '-v', 'VERBOSITY=verbose', '-f', '-'],
        '<', \$session->{in}, '>', \$session->{out}, '2>', \$session->{error},
        IPC::Run::timeout($option{seconds} // 180));
    return $session;
}

# Waits for a background session; returns exit status, output and error.
sub finish
{
    my ($self, $session) = @_;
    eval { $session->{harness}->finish; 1 } or return (-1, $session->{out}, $@);
    return ($session->{harness}->full_result(0) >> 8, $session->{out}, $session->{error});
}

# Polls until the sub is true, at most that many seconds; what it came to, and its last error. An
# error in the sub counts as "not yet".
sub poll
{
    my ($self, $condition, $seconds) = @_;
    my $end = time + ($seconds // 60);
    my $error = '';
    while (1)
    {
        my $met = eval { $condition->() };
        $error = $@ if $@;
        return ($met, $error) if $met || time >= $end;
        sleep 0.05;
    }
}

# The same as a test of its own.
sub await
{
    my ($self, $what, $condition, $seconds) = @_;
    my ($met, $error) = $self->poll($condition, $seconds);
    diag $error if !$met && $error;
    return ok($met, $what);
}

# Every node sees every node up, and none that is refilling?
sub all_are_up
{
    my ($self, $nodes) = @_;
    for my $node (1 .. $nodes)
    {
        my $up = () = $self->console($node, 'SHOW NODES') =~ /\|up\|/g;
        return 0 if $up < $nodes;
    }
    return 1;
}

# Waits for it: links come back a moment after a node does.
sub await_all_up
{
    my ($self, $what, $nodes) = @_;
    return $self->await($what // 'every node sees every node', sub { $self->all_are_up($nodes // 3) });
}

for my $command (qw(kill stop cont start wipe add))
{
    no strict 'refs';
    *$command = sub {
        my ($self, @arguments) = @_;
        my ($status, $out, $error) = $self->run($command, @arguments);
        die "test/cluster $command @arguments: $out$error" if $status != 0;
    };
}

# One row of `status`: { state, port, pid, log }, by number, or 'postgres'.
sub server
{
    my ($self, $which) = @_;
    my ($status, $out) = $self->run('status');
    my $word = $which eq 'postgres' ? 'postgres' : "node $which";
    $out =~ /^\Q$word\E\s+(\w+)\s+(\d+)\s+(\S+)\s+(\S+)$/m or die "no $word in: $out";
    return { state => $1, port => $2, pid => $3, log => $4 };
}

sub port { my ($self, $node) = @_; return $self->server($node)->{port} }

# A node's folder: where its log's folder is, wherever the cluster went.
sub node_folder
{
    my ($self, $node) = @_;
    return dirname(dirname($self->server($node)->{log})) . "/node$node";
}

sub log_text
{
    my ($self, $which) = @_;
    open my $file, '<', $self->server($which)->{log} or return '';
    local $/;
    return scalar <$file>;
}

# Ends the cluster. Logs are kept when the test failed.
sub down
{
    my ($self) = @_;
    return unless delete $alive{$self->{dir}};
    $self->keep_logs unless Test::More->builder->is_passing;
    $self->run('down');
}

sub keep_logs
{
    my ($self) = @_;
    my ($status, $out) = $self->run('status');
    return if $status != 0;
    my $folder = "$root/build/check/logs/$self->{name}";
    make_path($folder);
    system('cp', $_, $folder) for $out =~ m{(/\S+\.log)$}mg;
    diag "logs are in $folder";
}

1;
