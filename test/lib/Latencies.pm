package Latencies;

# What became of the statements of a PacedLoad, as tables.
#
#     print_latencies_head();
#     print_latencies('quiet', $begin, @statements);
use strict;
use warnings;
use Exporter qw(import);
use POSIX qw(ceil);

our @EXPORT_OK = qw(percentile failed print_latencies_head print_latencies print_failures);

sub percentile
{
    my ($share, @sorted) = @_;
    return $sorted[ceil($share * @sorted) - 1];
}

sub failed { return grep { $_->{state} ne '00000' } @_ }

# One line for the reads, one for the writes.
sub print_latencies
{
    my ($what, $begin, @statements) = @_;
    for my $kind (qw(read write))
    {
        my @of_kind = sort { $a->{ms} <=> $b->{ms} } grep { $_->{kind} eq $kind } @statements;
        next if !@of_kind;
        my @ms = map { $_->{ms} } @of_kind;
        printf "%-22s %-6s %8d %7d %8.2f %8.2f %8.2f %8.2f   %+.2f s\n", $what, $kind, scalar @ms,
            scalar(failed(@of_kind)), percentile(0.5, @ms), percentile(0.99, @ms),
            percentile(0.999, @ms), $ms[-1], $of_kind[-1]{begin} - $begin;
    }
    return;
}

sub print_latencies_head
{
    printf "%-22s %-6s %8s %7s %8s %8s %8s %8s   %s\n", '', '', 'count', 'failed', 'p50 ms', 'p99 ms',
        'p99.9 ms', 'max ms', 'the slowest, due at';
    return;
}

# Failures by SQLSTATE, each with its first message and what was going on. when: time => words.
sub print_failures
{
    my ($statements, $when) = @_;
    my %seen;
    push @{ $seen{"$_->{class} $_->{kind} $_->{state}"} }, $_ for failed(@$statements);
    for my $state (sort keys %seen)
    {
        my ($first) = my @all = @{ $seen{$state} };
        my %during;
        $during{ $when->($_) }++ for @all;
        printf "  %s: %d, the first: %s\n", $state, scalar @all, $first->{message};
        printf "      %5d during: %s\n", $during{$_}, $_ for sort keys %during;
    }
    return;
}

1;
