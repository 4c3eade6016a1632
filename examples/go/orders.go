package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Orders is what is done with each record: the part that a service replaces by its own work.
type Orders struct {
	ids     *RecentIDs
	times   *LastTimes
	missing *Missing

	shown, repeats, unreadable int
}

func newOrders() *Orders {
	return &Orders{ids: newRecentIDs(), times: newLastTimes(), missing: newMissing()}
}

// takeOrder prints the event on one line, unless it is a repeat.
func (orders *Orders) takeOrder(record *kgo.Record) {
	event, err := readEvent(record.Value)
	if err != nil {
		orders.passOver(record, err)
		return
	}
	age := orders.ids.take(event.ID, event.Replay)
	if age == "repeat" {
		orders.repeats++
		return
	}
	orders.shown++
	key := string(record.Key)
	// Of a late event, keep what it tells of the past; never let it overwrite what is newer. One that a replay brings
	// again may be corrected: write it over what its id led to. Who must act only once drops that one too.
	if orders.times.isLate(key, event) {
		age = "late"
	}
	fmt.Println(orderLine(event, key, age))
}

// takeGap prints what the endpoint lacks now: until it comes or is fetched from the provider, orders have holes.
func (orders *Orders) takeGap(record *kgo.Record) {
	line, err := orders.missing.take(record.Value)
	if err != nil {
		orders.passOver(record, err)
		return
	}
	fmt.Println(line)
}

func (orders *Orders) summary() string {
	return fmt.Sprintf("stopped: %d shown, %d repeats dropped, %d passed over", orders.shown, orders.repeats, orders.unreadable)
}

func (orders *Orders) passOver(record *kgo.Record, why error) {
	orders.unreadable++
	fmt.Fprintf(os.Stderr, "passed over: %s %d:%d %s\n", record.Topic, record.Partition, record.Offset, why)
}

// orderLine has time, how far to trust it, new, late or again, key, what happened, status.
func orderLine(event Event, key, age string) string {
	trust := event.TimeQuality
	if trust != "exact" && trust != "received" {
		trust += "+-1h"
	}
	status := event.Status
	if status == "" {
		status = "-"
	}
	what := strings.TrimPrefix(event.Type, "dropstream.")
	return strings.Join([]string{"order", event.Time.UTC().Format("2006-01-02T15:04:05Z"), trust, age, key, what, status}, " ")
}
