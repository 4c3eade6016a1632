// Reads the orders and the gaps of dropstream: prints one line per order event, and what is missing; ends with Ctrl-C.
//
// An example to copy from. It reads committed records only, goes on where its group stood (or where --from says), drops
// repeats by id, says which events came late or again, and commits after it has acted: what it did last may come once
// more after a crash, and is then a repeat.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	recordsMax = 500
	retriesMax = 6 // With pauses up to 2.5 s: a port where nobody is costs 10 s, one that is silent a minute.
	commitWait = 30 * time.Second
)

type options struct{ kafka, prefix, group, from string }

func main() {
	var given options
	flag.StringVar(&given.kafka, "kafka", cmp.Or(os.Getenv("KAFKA"), "127.0.0.1:9092"), "`HOST:PORT` of the cluster")
	flag.StringVar(&given.prefix, "prefix", "dropstream.", "what the names of topics begin with")
	flag.StringVar(&given.group, "group", "orders-example", "the consumer group")
	flag.StringVar(&given.from, "from", "", "`beginning|TIME|P:OFFSET`; where the group stood if not said")
	flag.Parse()
	start, err := parseStart(given.from)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := work(ctx, given, start); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func work(ctx context.Context, given options, start Start) error {
	topic, gaps := given.prefix+"orders", given.prefix+"gaps"
	if err := check(ctx, given.kafka, topic, gaps, start); err != nil {
		return err
	}
	placement := &Placement{gaps: gaps, start: start, placed: map[int32]bool{}}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(given.kafka, ",")...),
		kgo.ConsumerGroup(given.group),
		kgo.ConsumeTopics(topic, gaps),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.DisableAutoCommit(),
		// A member that is given fewer partitions keeps the rest; a batch that was begun is shown and committed first.
		kgo.BlockRebalanceOnPoll(),
		// After the loss of a leader a position can be out of range: a client that then begins anew reads all again.
		kgo.ConsumeResetOffset(kgo.NoResetOffset().AtStart()),
		kgo.AdjustFetchOffsetsFn(placement.place),
	)
	if err != nil {
		return err
	}
	placement.client = client
	defer client.CloseAllowingRebalance()
	orders := newOrders()
	if err := read(ctx, client, orders, topic, start); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, orders.summary())
	return nil
}

// read takes records and commits them, until it is told to stop; a batch that was begun is finished.
func read(ctx context.Context, client *kgo.Client, orders *Orders, topic string, start Start) error {
	for ctx.Err() == nil {
		fetches := client.PollRecords(ctx, recordsMax)
		if err := failure(fetches, start); err != nil {
			return err
		}
		var done []*kgo.Record
		fetches.EachRecord(func(record *kgo.Record) {
			if record.Topic == topic {
				orders.takeOrder(record)
				done = append(done, record)
			} else {
				orders.takeGap(record)
			}
		})
		commit(client, done)
		client.AllowRebalance()
	}
	return nil
}

// commit commits what was shown, also when the program was told to stop meanwhile.
func commit(client *kgo.Client, done []*kgo.Record) {
	if len(done) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), commitWait)
	defer cancel()
	if err := client.CommitRecords(ctx, done...); err != nil {
		// Another member has the partition now, and shows these again: the group has no memory of ids in common.
		fmt.Fprintln(os.Stderr, "not committed:", err)
	}
}

// failure is why it cannot go on; franz-go tries by itself again what may pass.
func failure(fetches kgo.Fetches, start Start) error {
	var found error
	fetches.EachError(func(topic string, partition int32, err error) {
		var loss *kgo.ErrDataLoss
		switch {
		case found != nil || errors.Is(err, context.Canceled):
		case errors.As(err, &loss):
			found = fmt.Errorf("there is nothing at %d:%d; say with --from where to go on", partition, loss.ConsumedTo)
		case errors.Is(err, kerr.OffsetOutOfRange) && start.partition == partition:
			found = fmt.Errorf("there is nothing at %d:%d; say with --from where to go on", partition, start.offset)
		case errors.Is(err, kerr.OffsetOutOfRange):
			found = fmt.Errorf("there is nothing where the group stood in %s %d; say with --from where to go on", topic, partition)
		default:
			found = fmt.Errorf("%s %d: %w", topic, partition, err)
		}
	})
	return found
}

// check says whether there is what is to be read.
func check(ctx context.Context, kafka, topic, gaps string, start Start) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(kafka, ",")...), kgo.RequestRetries(retriesMax))
	if err != nil {
		return err
	}
	defer client.Close()
	known, err := kadm.NewClient(client).ListTopics(ctx, topic, gaps)
	if err != nil {
		return fmt.Errorf("cannot reach Kafka at %s", kafka)
	}
	var missing []string
	for _, name := range []string{gaps, topic} {
		if !known.Has(name) {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	if len(missing) > 0 {
		return fmt.Errorf("%s has no topic %s; is --prefix right?", kafka, strings.Join(missing, " and "))
	}
	if int(start.partition) >= len(known[topic].Partitions) {
		return fmt.Errorf("%s has no partition %d", topic, start.partition)
	}
	return nil
}
