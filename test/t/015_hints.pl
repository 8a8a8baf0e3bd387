# Writes go on whatever has failed; what a node missed is brought to it when it is back, by hints
# that outlive kill -9 and power loss, until all replicas are equal.
use strict;
use warnings;
use DynamoCluster;
use Test::More;
use Time::HiRes qw(sleep time);

my $nodes   = 5;
my $cluster = DynamoCluster->new(nodes => $nodes);
$cluster->query(q{
CREATE FOREIGN TABLE t (id bigint OPTIONS (key 'true'), v text[], context bytea OPTIONS (context 'true'))
    SERVER dynamo OPTIONS (bucket 't', n '3', r '2', w '2');
INSERT INTO t (id, v) SELECT i, ARRAY['before ' || i] FROM generate_series(1, 500) i;
});

my %acknowledged = map { $_ => "before $_" } 1 .. 500;
my $next         = 1000;

# ---- what the tests ask ----

sub await_drained
{
    my ($what) = @_;
    return $cluster->await("$what: nobody owes anything any more", sub {
        for my $node (1 .. $nodes)
        {
            return 0 if $cluster->console($node, 'SHOW HINTS') ne '';
        }
        return 1;
    });
}

sub hints_at
{
    my ($node) = @_;
    my $sum = 0;
    $sum += $_ for $cluster->console($node, 'SHOW HINTS') =~ /^[^|]*\|(\d+)\|/mg;
    return $sum;
}

# What a node itself holds of the keys: key => its rows.
sub held_by
{
    my ($node, @keys) = @_;
    my ($status, $out, $error) = $cluster->run_with(
        { in => join '', map { "\\echo key $_\nGET t $_ LOCAL;\n" } @keys },
        'console', $node, '-XAt', '-f', '-');
    die $error if $status != 0;
    my %held;
    my $key;
    for (split /\n/, $out)
    {
        if (/^key (\d+)$/) { $key = $1 }
        else               { $held{$key} .= "$_\n" }
    }
    return \%held;
}

# Each of the keys is on three nodes, equal byte for byte, with the one value that was written.
sub check_replicas
{
    my ($what, @keys) = @_;
    my @held = map { held_by($_, @keys) } 1 .. $nodes;
    my @wrong;
    for my $key (@keys)
    {
        my @copies = grep { defined } map { $_->{$key} } @held;
        my %kinds  = map { $_ => 1 } @copies;
        push @wrong, "key $key: " . @copies . " copies, " . keys(%kinds) . " kinds:\n@copies"
            if @copies != 3 || keys %kinds != 1 || (() = $copies[0] =~ /^1\|f\|/mg) != 1
            || $copies[0] !~ /\Q$acknowledged{$key}\E/ || $copies[0] =~ /^2\|/m;
    }
    is(scalar @wrong, 0, "$what: each of " . @keys . ' keys is on its three owners, equal, as written')
        or diag @wrong[0 .. ($#wrong < 4 ? $#wrong : 4)];
}

# Sessions that write new keys, and read old ones, until they are told to end.
sub begin_load
{
    my (%option) = @_;
    my $r = $option{r} // 2;
    return map {
        my $from = $next;
        $next += 100_000;
        $cluster->background("SET dynamo_fdw.r = $r;\n" . join '', map {
            my $key = $from + $_;
            my $old = 1 + $_ % 500;
            "INSERT INTO t (id, v) VALUES ($key, '{value $key}') \\g\n"
                . "\\if :ERROR\n\\q\n\\else\n\\echo acked $key\n\\endif\n"
                . "SELECT 'read ' || count(*) FROM t WHERE id = $old \\g\n"
                . "\\if :ERROR\n\\q\n\\endif\n"
        } 1 .. 20000)
    } 1 .. 2;
}

sub acked_by
{
    my (@sessions) = @_;
    $_->{harness}->pump_nb for @sessions;
    return map { $_->{out} =~ /^acked (\d+)$/mg } @sessions;
}

# So many more writes are acknowledged.
sub await_writes
{
    my ($what, $count, @sessions) = @_;
    my $from = () = acked_by(@sessions);
    return $cluster->await("$what: writes go on", sub { (() = acked_by(@sessions)) >= $from + $count });
}

sub end_load
{
    my ($what, @sessions) = @_;
    my @keys = acked_by(@sessions);
    my $errors = join '', map { $_->{error} } @sessions;
    my @missed = map { $_->{out} =~ /^read 0$/mg } @sessions;
    $_->{harness}->kill_kill(grace => 1) for @sessions;
    is($errors, '', "$what: no statement failed");
    is(scalar @missed, 0, "$what: no read missed a row");
    $acknowledged{$_} = "value $_" for @keys;
    return @keys;
}

# ---- one node, killed and stopped; two of five ----

sub strike
{
    my ($what, $r, $break, $mend) = @_;
    my @sessions = begin_load(r => $r);
    await_writes("$what, before", 20, @sessions);
    $break->();
    await_writes($what, 300, @sessions);
    $mend->();
    await_writes("$what, afterwards", 50, @sessions);
    my @keys = end_load($what, @sessions);
    $cluster->await_all_up("$what: every node sees every node again", $nodes);
    await_drained($what);
    check_replicas($what, @keys);
}

strike('node 2 killed', 2, sub { $cluster->kill(2) }, sub { $cluster->start(2) });
strike('node 4 stopped', 2, sub { $cluster->stop(4) }, sub { $cluster->cont(4) });
strike('nodes 1 and 3 killed', 1, sub { $cluster->kill($_) for 1, 3 }, sub { $cluster->start($_) for 1, 3 });

# ---- the holders of hints are killed themselves ----

sub write_keys
{
    my ($count) = @_;
    my ($from, $to) = ($next + 1, $next + $count);
    $next += 100_000;
    $cluster->query("INSERT INTO t (id, v) SELECT i, ARRAY['value ' || i] FROM generate_series($from, $to) i");
    $acknowledged{$_} = "value $_" for $from .. $to;
    return $from .. $to;
}

$cluster->kill(2);
my @keys = write_keys(300);
my @holders = grep { hints_at($_) > 0 } 1, 3 .. $nodes;
cmp_ok(scalar @holders, '>', 0, 'others keep hints for node 2');
my %kept = map { $_ => hints_at($_) } @holders;
for my $holder (@holders)
{
    $cluster->kill($holder);
    $cluster->start($holder);
    $cluster->await("node $holder still has its hints after kill -9", sub { hints_at($holder) == $kept{$holder} });
}
$cluster->start(2);
await_drained('holders killed');
check_replicas('holders killed', @keys);

# ---- power loss of a holder: its folder on a filesystem of its own, shut down unsynced ----

sub lose_power
{
    my $folder = $cluster->node_folder(1);
    my $image  = "$folder.img";
    my $run    = sub { system("$_[0] >/dev/null 2>&1") == 0 or die "$_[0]: failed\n" };
    $cluster->kill(1);
    $run->("truncate -s 512M $image");
    $run->("mkfs.ext4 -q -F $image");
    $run->("mv $folder $folder.was && mkdir $folder && mount -o loop $image $folder");
    $run->("cp -a $folder.was/. $folder/ && chown --reference=$folder.was $folder && chmod 700 $folder && sync");
    $cluster->start(1);
    $cluster->await_all_up('node 1 is back, on a filesystem of its own', $nodes);
    $cluster->kill(2);
    my @written = write_keys(300);
    my $owed = hints_at(1);
    cmp_ok($owed, '>', 0, 'node 1 keeps hints for node 2');
    open my $file, '<', "$folder/dynamo.conf" or die $!;
    my $flags = pack 'L', 2;                      # EXT4_GOING_FLAGS_NOLOGFLUSH: what is not synced is lost
    ioctl($file, 0x8004587d, $flags) or die "shutdown of the filesystem: $!\n";
    close $file;
    $cluster->kill(1);
    $run->("umount $folder && mount -o loop $image $folder");
    $cluster->start(1);
    $cluster->await('node 1 has its hints after power loss', sub { hints_at(1) == $owed });
    $cluster->start(2);
    await_drained('power loss');
    check_replicas('power loss', @written);
    $cluster->kill(1);
    $run->("umount $folder");
}

SKIP:
{
    skip 'power loss needs root, a loop device and mkfs.ext4', 6
        if $> != 0 || system('command -v mkfs.ext4 losetup >/dev/null 2>&1 && losetup -f >/dev/null 2>&1') != 0;
    lose_power();
}

done_testing;
