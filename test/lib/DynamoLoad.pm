package DynamoLoad;

# Load on a DynamoCluster while a test breaks it, and the proof afterwards that nothing was lost: on
# a table t of its own, in a bucket t.
#
#     my $load = DynamoLoad->new($cluster, nodes => 5);
#     $load->strike('node 2 killed', 2, sub { $cluster->kill(2) }, sub { $cluster->start(2) });
use strict;
use warnings;
use Test::More;

my $old_keys = 500;    # written beforehand, read all the time

sub new
{
    my ($class, $cluster, %option) = @_;
    my $self = bless { cluster => $cluster, nodes => $option{nodes}, next => 1000, value => {} }, $class;
    $cluster->query(qq{
CREATE FOREIGN TABLE t (id bigint OPTIONS (key 'true'), v text[], context bytea OPTIONS (context 'true'))
    SERVER dynamo OPTIONS (bucket 't', n '3', r '2', w '2');
INSERT INTO t (id, v) SELECT i, ARRAY['before ' || i] FROM generate_series(1, $old_keys) i;
});
    return $self;
}

# Keys that nobody has used, and their number.
sub take_keys
{
    my ($self, $count) = @_;
    my $from = $self->{next} + 1;
    $self->{next} += 100_000;
    return $from .. $from + $count - 1;
}

# New keys in one statement that must succeed.
sub write_keys
{
    my ($self, $count) = @_;
    my @keys = $self->take_keys($count);
    $self->{cluster}->query(
        "INSERT INTO t (id, v) SELECT i, ARRAY['value ' || i] FROM generate_series($keys[0], $keys[-1]) i");
    $self->note_written(@keys);
    return @keys;
}

# ---- sessions that write new keys, and read old ones, until they are told to end ----

sub begin
{
    my ($self, $r) = @_;
    return map {
        $self->{cluster}->background("SET dynamo_fdw.r = $r;\n" . join '', map {
            my $old = 1 + $_ % $old_keys;
            "INSERT INTO t (id, v) VALUES ($_, '{value $_}') \\g\n"
                . "\\if :ERROR\n\\q\n\\else\n\\echo acked $_\n\\endif\n"
                . "SELECT 'read ' || count(*) FROM t WHERE id = $old \\g\n"
                . "\\if :ERROR\n\\q\n\\endif\n"
        } $self->take_keys(20000))
    } 1 .. 2;
}

sub acknowledged
{
    my (@sessions) = @_;
    $_->{harness}->pump_nb for @sessions;
    return map { $_->{out} =~ /^acked (\d+)$/mg } @sessions;
}

# So many more writes are acknowledged.
sub await_writes
{
    my ($self, $what, $count, @sessions) = @_;
    my $from = () = acknowledged(@sessions);
    return $self->{cluster}->await("$what: writes go on",
        sub { (() = acknowledged(@sessions)) >= $from + $count });
}

# No statement failed, no read missed its row. The keys that were acknowledged.
sub end
{
    my ($self, $what, @sessions) = @_;
    my @keys = acknowledged(@sessions);
    my $errors = join '', map { $_->{error} } @sessions;
    my @missed = map { $_->{out} =~ /^read 0$/mg } @sessions;
    $_->{harness}->kill_kill(grace => 1) for @sessions;
    is($errors, '', "$what: no statement failed");
    is(scalar @missed, 0, "$what: no read missed a row");
    $self->note_written(@keys);
    return @keys;
}

# These were acknowledged, each with the value of its number.
sub note_written
{
    my ($self, @keys) = @_;
    $self->{value}{$_} = "value $_" for @keys;
    return;
}

# ---- afterwards ----

sub hints_at
{
    my ($self, $node) = @_;
    my $sum = 0;
    $sum += $_ for $self->{cluster}->console($node, 'SHOW HINTS') =~ /^[^|]*\|(\d+)\|/mg;
    return $sum;
}

sub is_drained
{
    my ($self) = @_;
    for my $node (1 .. $self->{nodes})
    {
        return 0 if $self->{cluster}->console($node, 'SHOW HINTS') ne '';
    }
    return 1;
}

sub await_drained
{
    my ($self, $what) = @_;
    return $self->{cluster}->await("$what: nobody owes anything any more", sub { $self->is_drained });
}

# What a node itself holds of the keys: key => its rows.
sub held_by
{
    my ($self, $node, @keys) = @_;
    my ($status, $out, $error) = $self->{cluster}->run_with(
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

# Of the keys those that are not on three nodes, equal byte for byte, with the one value that was
# written: what is wrong with each.
sub wrong_replicas
{
    my ($self, @keys) = @_;
    my @held = map { $self->held_by($_, @keys) } 1 .. $self->{nodes};
    my @wrong;
    for my $key (@keys)
    {
        my @copies = grep { defined } map { $_->{$key} } @held;
        my %kinds  = map { $_ => 1 } @copies;
        push @wrong, "key $key: " . @copies . " copies, " . keys(%kinds) . " kinds:\n@copies"
            if @copies != 3 || keys %kinds != 1 || $copies[0] =~ /^2\|/m
            || $copies[0] !~ /^1\|f\|[^|]*\|[^|]*\Q$self->{value}{$key}\E/;
    }
    return @wrong;
}

sub check_replicas
{
    my ($self, $what, @keys) = @_;
    my @wrong = $self->wrong_replicas(@keys);
    is(scalar @wrong, 0, "$what: each of " . @keys . ' keys is on its three owners, equal, as written')
        or diag @wrong[0 .. ($#wrong < 4 ? $#wrong : 4)];
}

# Load before, while and after something is broken, and all of the above.
sub strike
{
    my ($self, $what, $r, $break, $mend) = @_;
    my @sessions = $self->begin($r);
    $self->await_writes("$what, before", 20, @sessions);
    $break->();
    $self->await_writes($what, 300, @sessions);
    $mend->();
    $self->await_writes("$what, afterwards", 50, @sessions);
    my @keys = $self->end($what, @sessions);
    $self->{cluster}->await_all_up("$what: every node sees every node again", $self->{nodes});
    $self->await_drained($what);
    $self->check_replicas($what, @keys);
}

1;
