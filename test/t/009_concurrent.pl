# Sessions that update and delete one key at a time: nothing is lost, and whoever saw all resolves.
use strict;
use warnings;
use DynamoCluster;
use IPC::Run ();
use Test::More;

my $cluster = DynamoCluster->new(nodes => 3);
$cluster->query(q{
CREATE FOREIGN TABLE cart (id int OPTIONS (key 'true'), item text[], context bytea OPTIONS (context 'true'))
    SERVER dynamo OPTIONS (bucket 'cart');
CREATE FOREIGN TABLE bare (id int OPTIONS (key 'true'), item text[]) SERVER dynamo OPTIONS (bucket 'cart');
});

# A psql that takes one statement after another.
sub session
{
    my $session = { in => '', out => '', error => '', number => 0 };
    local %ENV = (%ENV, CLUSTER_DIR => $cluster->{dir});
    $session->{harness} = IPC::Run::start(
        [DynamoCluster::root() . '/test/cluster', 'psql', '-XAtq', '-f', '-'],
        '<', \$session->{in}, '>', \$session->{out}, '2>', \$session->{error}, IPC::Run::timeout(180));
    return $session;
}

# What the session prints for a statement, without the last line's end.
sub say_to
{
    my ($session, $sql) = @_;
    my $mark = 'done ' . ++$session->{number};
    $session->{out} = '';
    $session->{in} .= "$sql;\n\\echo $mark\n";
    $session->{harness}->pump until $session->{out} =~ /^\Q$mark\E$/m;
    return $session->{out} =~ s/^\Q$mark\E\n//mr =~ s/\n\z//r;
}

sub leave
{
    my ($session) = @_;
    $session->{in} .= "\\q\n";
    $session->{harness}->finish;
    return $session->{error};
}

sub items
{
    my ($id) = @_;
    return $cluster->query(
        "SELECT string_agg(i, ' ' ORDER BY i COLLATE \"C\") FROM cart, unnest(item) i WHERE id = $id");
}

my ($first, $second) = (session(), session());
my $id = 0;

# Both begin, do their statement, and commit one after the other; what is stored then.
sub interleave
{
    my ($one, $other) = @_;
    $id++;
    $cluster->query("INSERT INTO cart (id, item) VALUES ($id, '{old}')");
    say_to($first,  'BEGIN');
    say_to($second, 'BEGIN');
    say_to($first,  $one =~ s/\bKEY\b/$id/gr);
    say_to($second, $other =~ s/\bKEY\b/$id/gr);
    say_to($first,  'COMMIT');
    say_to($second, 'COMMIT');
    return items($id);
}

for my $table ('cart', 'bare')
{
    my $update = "UPDATE $table SET item = '{%s}' WHERE id = KEY";

    is(interleave(sprintf($update, 'one'), sprintf($update, 'two')), 'one two', "$table: two updates leave two siblings");
    $cluster->query("UPDATE $table SET item = ARRAY['both'] WHERE id = $id");
    is(items($id), 'both', "$table: an update that saw both leaves one");

    is(interleave(sprintf($update, 'kept'), "DELETE FROM $table WHERE id = KEY"), 'kept',
        "$table: an update survives a delete that did not see it");
    is(interleave("DELETE FROM $table WHERE id = KEY", sprintf($update, 'kept')), 'kept',
        "$table: and the other way round");
    $cluster->query("DELETE FROM $table WHERE id = $id");
    is($cluster->query("SELECT count(*) FROM cart WHERE id = $id"), '0', "$table: a delete that saw both leaves no row");

    is(interleave(("DELETE FROM $table WHERE id = KEY") x 2), '', "$table: two deletes leave no row");
    is(interleave(sprintf($update, 'updated'), "INSERT INTO $table (id, item) VALUES (KEY, '{blind}')"),
        'blind updated', "$table: an update keeps a put that it did not see");
    is(interleave("UPDATE $table SET item = item || ARRAY[item[1]] WHERE id = KEY", sprintf($update, 'x')), 'old old x',
        "$table: an update to two siblings beside another session's");

    # From the whole bucket, and through a join.
    is(interleave("UPDATE $table SET item = '{scan}' WHERE item[1] = 'old'", sprintf($update, 'key')), 'key scan',
        "$table: an update by a scan of the bucket");
    is(interleave("UPDATE $table SET item = ARRAY[v.text] FROM (VALUES (KEY, 'join')) v(id, text) WHERE $table.id = v.id",
            "DELETE FROM $table USING (VALUES (KEY), (KEY)) v(id) WHERE $table.id = v.id"), 'join',
        "$table: an update and a delete by joins");
}

# Each of many rounds in which both update what they last saw: siblings never pile up.
$cluster->query("INSERT INTO cart (id, item) VALUES (100, '{start}')");
for my $round (1 .. 10)
{
    for my $session ($first, $second)
    {
        say_to($session, 'BEGIN');
        say_to($session, "UPDATE bare SET item = ARRAY['$round'] WHERE id = 100");
    }
    say_to($_, 'COMMIT') for $first, $second;
}
is(items(100), '10 10', 'ten rounds of two writers leave two siblings');
$cluster->query('UPDATE bare SET item = item[1:1] WHERE id = 100');
is(items(100), '10', 'until one resolves them');

# A node that was away brings nothing back: what it holds was seen by the updates and deletes it missed.
$cluster->query("INSERT INTO cart (id, item) SELECT g, '{old}' FROM generate_series(201, 240) g");
$cluster->kill(3);
$cluster->query(q{
UPDATE bare SET item = '{new}' WHERE id BETWEEN 201 AND 220;
DELETE FROM bare WHERE id = ANY (ARRAY(SELECT generate_series(221, 240)));
});
my $state = q{SELECT string_agg(DISTINCT item::text, ' ') || count(*) FROM cart WHERE id > 200};
is($cluster->query($state), '{new}20', 'updates and deletes are made while a node is down');
$cluster->start(3);
$cluster->await_all_up;
is($cluster->query($state, options => '-c dynamo_fdw.r=3'), '{new}20', 'and hold when it is back');

is(leave($_), '', 'no session met an error') for $first, $second;
done_testing();
