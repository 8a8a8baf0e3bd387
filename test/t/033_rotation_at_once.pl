# The cluster key is replaced by a tool that signals all nodes at once. Each link by the new key is up before the old one
# goes: no write fails, though each must be on all three nodes, and no node is missed by another for a moment.
use strict;
use warnings;
use DynamoCluster;
use DynamoProgram;
use Test::More;

my $cluster = DynamoCluster->new(nodes => 3);
my @folder = (undef, map { $cluster->node_folder($_) } 1 .. 3);
$cluster->query(q{
CREATE FOREIGN TABLE load (id bigint OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'load', n '3', r '1', w '3');
INSERT INTO load VALUES (0, '{made}');
});
$cluster->await_all_up;
my %before = map { $_ => length slurp($cluster->server($_)->{log}) } 1 .. 3;

sub key
{
    my ($node, $words, %how) = @_;
    my ($status, $out, $error) = run_as_server([ DynamoCluster::program(), 'key', @$words, '-D', $folder[$node] ], %how);
    is($status, 0, "node $node: key @$words") or diag $error;
    chomp $out;
    return $out;
}

my @writers = map {
    my $writer = $_;
    $cluster->background(join '', map {
        my $id = 100000 * $writer + $_;
        "INSERT INTO load SELECT $id, '{value $id}' FROM pg_sleep(0.002) \\g\n\\if :ERROR\n\\echo failed\n\\else\n\\echo acked\n\\endif\n"
    } 1 .. 20000);
} 1 .. 2;

sub count_of { my ($word) = @_; my $sum = 0; $sum += () = $_->{out} =~ /^$word/mg for @writers; return $sum }

sub await_writes
{
    my ($what) = @_;
    my $from = count_of('acked');
    $cluster->await("writes go on $what", sub { $_->{harness}->pump_nb for @writers; count_of('acked') > $from + 200 });
}

# To all of them in one system call after the other, as a tool does.
sub signal_all
{
    my ($what, $expected) = @_;
    kill HUP => map { $cluster->server($_)->{pid} } 1 .. 3;
    for my $node (1 .. 3)
    {
        $cluster->await("node $node has read its keys $what", sub {
            $_->{harness}->pump_nb for @writers;
            $cluster->console($node, 'SHOW KEYS') eq $expected;
        });
    }
    await_writes($what);
}

await_writes('at first');
my ($old) = $cluster->console(1, 'SHOW KEYS') =~ /^([0-9a-f]{8})\|t$/;
my $new = key(1, [qw(install --generate)]);
my ($secret) = slurp("$folder[1]/cluster.key") =~ /([0-9a-f]{64})\n\z/ or die 'no key';
key($_, ['install'], in => "$secret\n") for 2, 3;
signal_all('with the new key installed', "$old|t\n$new|f");
key($_, [ 'use', $new ]) for 1 .. 3;
signal_all('with the new key in use', "$new|t\n$old|f");
key($_, [ 'remove', $old ]) for 1 .. 3;
signal_all('with the old key removed', "$new|t");
for my $node (1 .. 3)
{
    my $said = sub { substr slurp($cluster->server($node)->{log}), $before{$node} };
    $cluster->await("node $node has linked anew", sub { 2 <= (() = $said->() =~ /under the cluster key in use/g) });
}
await_writes('over the new links');
sleep 3;    # the time after which sessions by a removed key are cut
await_writes('when the old sessions are cut');
for my $node (1 .. 3)
{
    my $said = substr slurp($cluster->server($node)->{log}), $before{$node};
    unlike($said, qr/no link to|was removed/, "node $node has lost no link");
}
is(count_of('failed'), 0, 'no write has failed');
$_->{harness}->kill_kill(grace => 1) for @writers;
done_testing;
