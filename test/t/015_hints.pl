# Writes go on whatever has failed; what a node missed is brought to it when it is back, by hints
# that outlive kill -9 and power loss, until all replicas are equal.
use strict;
use warnings;
use DynamoCluster;
use DynamoLoad;
use Test::More;

my $nodes   = 5;
my $cluster = DynamoCluster->new(nodes => $nodes);
my $load    = DynamoLoad->new($cluster, nodes => $nodes);

$load->strike('node 2 killed', 2, sub { $cluster->kill(2) }, sub { $cluster->start(2) });
$load->strike('node 4 stopped', 2, sub { $cluster->stop(4) }, sub { $cluster->cont(4) });
$load->strike('nodes 1 and 3 killed', 1,
    sub { $cluster->kill($_) for 1, 3 }, sub { $cluster->start($_) for 1, 3 });

# ---- the holders of hints are killed themselves ----

$cluster->kill(2);
my @keys = $load->write_keys(300);
my %kept = map { $_ => $load->hints_at($_) } 1, 3 .. $nodes;
my @holders = grep { $kept{$_} > 0 } sort keys %kept;
cmp_ok(scalar @holders, '>', 0, 'others keep hints for node 2');
for my $holder (@holders)
{
    $cluster->kill($holder);
    $cluster->start($holder);
    $cluster->await("node $holder still has its hints after kill -9",
        sub { $load->hints_at($holder) == $kept{$holder} });
}
$cluster->start(2);
$load->await_drained('holders killed');
$load->check_replicas('holders killed', @keys);

# ---- power loss of a holder: its folder on a filesystem of its own, shut down unsynced ----

sub must
{
    my ($command) = @_;
    system("$command >/dev/null 2>&1") == 0 or die "$command: failed\n";
}

sub lose_power
{
    my $folder = $cluster->node_folder(1);
    my $image  = "$folder.img";
    $cluster->kill(1);
    must("truncate -s 512M $image");
    must("mkfs.ext4 -q -F $image");
    must("mv $folder $folder.was && mkdir $folder && mount -o loop $image $folder");
    must("cp -a $folder.was/. $folder/ && chown --reference=$folder.was $folder && chmod 700 $folder && sync");
    $cluster->start(1);
    $cluster->await_all_up('node 1 is back, on a filesystem of its own', $nodes);
    $cluster->kill(2);
    my @written = $load->write_keys(300);
    my $owed = $load->hints_at(1);
    cmp_ok($owed, '>', 0, 'node 1 keeps hints for node 2');
    my $pid = $cluster->server(1)->{pid};
    open my $file, '<', "$folder/dynamo.conf" or die $!;
    my $flags = pack 'L', 2;                         # EXT4_GOING_FLAGS_NOLOGFLUSH: what is not synced is lost
    ioctl($file, 0x8004587d, $flags) or die "shutdown of the filesystem: $!\n";
    close $file;
    kill 'KILL', $pid;
    $cluster->await('the process is gone, and what was not synced', sub { must("umount $folder"); 1 });
    must("mount -o loop $image $folder");
    $cluster->start(1);
    $cluster->await('node 1 has its hints after power loss', sub { $load->hints_at(1) == $owed });
    $cluster->start(2);
    $load->await_drained('power loss');
    $load->check_replicas('power loss', @written);
}

SKIP:
{
    skip 'power loss needs root and a loop device', 7
        if $> != 0 || system('losetup -f >/dev/null 2>&1') != 0;
    my $folder = $cluster->node_folder(1);
    eval { lose_power(); 1 } or fail("power loss: $@");
    $cluster->kill(1);
    system("umount -l $folder");
}

done_testing;
