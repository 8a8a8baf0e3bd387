# Changes of nodes are staged, refused, shown and forgotten; none is committed, and nothing moves.
use strict;
use warnings;
use DynamoCluster;
use Test::More;

my $cluster = DynamoCluster->new(nodes => 4, up => ['--no-postgres']);
$cluster->await_all_up;
my @name = (undef, map { 'node_' . $cluster->port($_) } 1 .. 4);

# A command that is refused: what it says, with its hint.
sub refused
{
    my ($what, $command, $message, $hint) = @_;
    my ($status, $out, $error) = $cluster->run('console', 1, '-XAt', '-v', 'VERBOSITY=verbose', '-c', $command);
    isnt($status, 0, "$what: refused");
    like($error, $message, "$what: it says why");
    like($error, $hint,    "$what: and what would work");
    return;
}

sub stages { my ($command) = @_; return $cluster->console(1, $command) }

# What another node shows as staged for a node.
sub shows
{
    my ($node, $change) = @_;
    return $cluster->await("another node shows: $change", sub { $cluster->console(2, 'SHOW PLAN') =~ /^$name[$node]\|\Q$change\E\|/m });
}

# The row of SHOW PLAN that is about the whole.
sub whole
{
    my ($row) = grep { /^\|plan/ } split /\n/, $cluster->console(2, 'SHOW PLAN');
    return $row // '';
}

sub clear
{
    my ($what) = @_;
    $cluster->console(3, 'CLEAR PLAN');
    return $cluster->await("$what is forgotten", sub { $cluster->console(2, 'SHOW PLAN') eq '' });
}

# ---- what cannot be staged ----
refused('JOIN of a node that is not there',  'JOIN nobody', qr/55000.*no node "nobody" offers itself/, qr/seeds/);
refused('JOIN of a member',                  "JOIN $name[2]", qr/55000.*is a member already/, qr/SHOW NODES/);
refused('LEAVE of a node that is not there', 'LEAVE nobody', qr/55000.*no node "nobody"/, qr/SHOW NODES/);
refused('REMOVE of a live node',             "REMOVE $name[2]", qr/55000.*is up and cannot be removed/, qr/LEAVE/);
refused('REPLACE by itself',                 "REPLACE $name[2] WITH $name[2]", qr/55000.*cannot replace itself/, qr/waits to be joined/);
refused('REPLACE by a member',               "REPLACE $name[2] WITH $name[3]", qr/55000.*is a member already/, qr/LEAVE/);
refused('REPLACE without WITH',              "REPLACE $name[2] BY $name[3]", qr/42601.*WITH/, qr/REPLACE old WITH new/);
refused('a weight of nothing',               "SET WEIGHT $name[2] 0", qr/22023.*weight/, qr/twice/);
refused('a weight that is too much',         "SET WEIGHT $name[2] 4294967296", qr/22023.*weight/, qr/twice/);
refused('a weight that is no number',        "SET WEIGHT $name[2] 2x", qr/22023.*weight/, qr/twice/);
refused('a weight that is missing',          "SET WEIGHT $name[2]", qr/42601.*wrong number/, qr/SHOW HELP/);
refused('a zone that cannot be written',     "SET ZONE $name[2] 'a b'", qr/zone/, qr/letters/);
is(whole(), '', 'nothing of it is staged');

# ---- what is staged is shown by every node ----
stages("LEAVE $name[4]");
shows(4, 'leaves');
like(whole(), qr/plan \d+\|\|\|[1-9]\d*\|\d+\|.*balance/, 'with what has to be copied');
refused('LEAVE twice', "LEAVE $name[4]", qr/55000.*is staged already/, qr/CLEAR PLAN/);
clear('what leaves');

stages("SET WEIGHT $name[2] 2");
stages("SET ZONE $name[3] east");
stages("SET WEIGHT $name[2] 3");
shows(2, 'weight 3');
shows(3, 'zone east');
stages("SET ZONE $name[3] ''");
shows(3, 'no zone');
clear('weight and zone');

stages("LEAVE $_") for @name[1 .. 4];
$cluster->await('a plan that leaves nobody says so', sub { whole() =~ /cannot be committed/ });
refused('its commit', 'COMMIT PLAN', qr/55000/, qr/HINT/);
clear('it');

$cluster->kill(4);
$cluster->await('a dead node is missed', sub { $cluster->console(1, 'SHOW NODES') =~ /^$name[4]\|.*\|down\|/m });
$cluster->await('then it may be given up', sub { stages("REMOVE $name[4]"); 1 });
shows(4, 'is given up');
clear('its removal');

# ---- nodes that are not members ----
$cluster->add;
my $new = 'node_' . $cluster->port(5);
$cluster->await('a node that offers itself is shown', sub { $cluster->console(1, 'SHOW NODES') =~ /^$new\|[^|]*\|\d+\|\|new\|\|f\|0\|\|/m });
$cluster->kill(5);
$cluster->await('and no more when it is gone', sub { $cluster->console(1, 'SHOW NODES') !~ /^$new\|/m });

is($cluster->console(1, 'SHOW TRANSFERS'), '', 'no partition moves');
done_testing;
