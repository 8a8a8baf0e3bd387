# A node moves to another address, data and all: a plan that any node shows and commits; statements go
# on meanwhile.
use strict;
use warnings;
use DynamoCluster;
use Test::More;

my $cluster = DynamoCluster->new(nodes => 3);
$cluster->await_all_up;
$cluster->query(q{CREATE FOREIGN TABLE t (id bigint OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 't')});
my $port  = $cluster->port(3);
my $name  = "node_$port";
my $other = 'node_' . $cluster->port(2);

my $rows = 0;
sub write_more
{
    my ($what) = @_;
    my ($from, $to) = ($rows + 1, $rows + 100);
    $cluster->query("INSERT INTO t SELECT i, ARRAY['v' || i] FROM generate_series($from, $to) i");
    $rows = $to;
    return is($cluster->query('SELECT count(*) FROM t'), $rows, $what);
}

# A command that is refused: what it says, with its hint.
sub refused
{
    my ($what, $node, $command, $message, $hint) = @_;
    my ($status, $out, $error) = $cluster->run('console', $node, '-XAt', '-v', 'VERBOSITY=verbose', '-c', $command);
    isnt($status, 0, "$what: refused");
    like($error, $message, "$what: it says why");
    like($error, $hint,    "$what: and what would work");
    return;
}

# The row of SHOW PLAN that is about the whole.
sub whole
{
    my ($node) = @_;
    my ($row) = grep { /^\|plan/ } split /\n/, $cluster->console($node, 'SHOW PLAN');
    return $row // '';
}

# ---- what cannot be ----
refused('an empty plan', 1, 'COMMIT PLAN', qr/55000.*nothing is staged/, qr/SET/);
refused('a node that is not there', 1, 'SET ADDRESS nobody 127.0.0.2:7', qr/no node "nobody"/, qr/SHOW NODES/);
refused('an address without a port', 1, "SET ADDRESS $name 127.0.0.2", qr/22023/, qr/SHOW NODES/);
refused('a plan that is no number', 1, 'COMMIT PLAN x', qr/22023/, qr/SHOW PLAN/);

# ---- staged, shown, changed, cleared ----
write_more('rows are there');
$cluster->console(1, "SET ADDRESS $name 127.0.0.3:$port");
$cluster->await('another node shows the plan', sub { whole(2) =~ /plan (\d+)\|\|\|0\|0\|.*balance 1\.000, then 1\.000/ });
my ($number) = whole(2) =~ /plan (\d+)/;
$cluster->console(2, "SET ADDRESS $name 127.0.0.2:$port");
refused('a plan that has changed', 1, "COMMIT PLAN $number", qr/not the one that is staged now/, qr/SHOW PLAN/);
$cluster->console(1, "SET ADDRESS $other 127.0.0.9:7");
$cluster->console(3, 'CLEAR PLAN');
$cluster->await('it is cleared for all', sub { whole(1) eq '' });

# ---- the move ----
$cluster->console(1, "SET ADDRESS $name 127.0.0.2:$port");
like($cluster->console(1, 'SHOW PLAN'), qr/^$name\|address 127\.0\.0\.2:$port\|/m, 'the plan says it');
$cluster->console(1, 'COMMIT PLAN');
$cluster->await('the node ends, and says why', sub { $cluster->log_text(3) =~ /member id at 127\.0\.0\.2:$port/ && $cluster->server(3)->{state} ne 'running' });
write_more('statements go on without it');

open my $conf, '>>', $cluster->node_folder(3) . '/dynamo.conf' or die "dynamo.conf: $!";
print $conf "\nlisten_address = '0.0.0.0'\nadvertise_address = '127.0.0.2'\n";
close $conf or die "dynamo.conf: $!";
$cluster->start(3);
$cluster->await('it is up at the new address', sub { $cluster->console(1, 'SHOW NODES') =~ /^$name\|127\.0\.0\.2\|$port\|\|up\|alive\|/m });
write_more('statements go on with it');
$cluster->await('it has all rows', sub { $cluster->query('SELECT count(*) FROM t', options => '-c dynamo_fdw.r=3') == $rows });
is(whole(2), '', 'and nothing is staged');

done_testing;
