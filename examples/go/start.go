package main

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var placeOf = regexp.MustCompile(`^([0-9]{1,9}):([0-9]{1,18})$`)

// Start is where orders are read from; the zero Start is where the group stood, or the beginning where it never was.
type Start struct {
	isGiven   bool
	at        kgo.Offset
	partition int32 // the only one that is read, or -1
	offset    int64
}

// parseStart gives the place that `beginning`, a time, or PARTITION:OFFSET names; a time without a zone is this
// machine's.
func parseStart(text string) (Start, error) {
	if text == "" {
		return Start{at: kgo.NewOffset().AtStart(), partition: -1}, nil
	}
	if text == "beginning" {
		return Start{isGiven: true, at: kgo.NewOffset().AtStart(), partition: -1}, nil
	}
	if found := placeOf.FindStringSubmatch(text); found != nil {
		partition, _ := strconv.ParseInt(found[1], 10, 32)
		offset, _ := strconv.ParseInt(found[2], 10, 64)
		return Start{true, kgo.NewOffset().At(offset), int32(partition), offset}, nil
	}
	moment, err := time.Parse(time.RFC3339, text)
	if err != nil {
		moment, err = time.ParseInLocation("2006-01-02T15:04:05", text, time.Local)
	}
	if err != nil {
		return Start{}, fmt.Errorf("--from: %q is none of: beginning, a time such as 2026-05-21T14:00:00Z, PARTITION:OFFSET", text)
	}
	return Start{isGiven: true, at: kgo.NewOffset().AfterMilli(moment.UnixMilli()), partition: -1}, nil
}

// Placement says where each partition is read from when the group gives it to us.
type Placement struct {
	gaps   string
	start  Start
	placed map[int32]bool
	client *kgo.Client
}

// place puts gaps to the beginning, for what is missing is the sum of them; orders where --from says, but only once.
// `given` has the committed offset of each partition, or one below 0 where nothing was committed; franz-go asks again
// while the group's coordinator moves, so below 0 means that.
func (placement *Placement) place(
	_ context.Context, given map[string]map[int32]kgo.Offset,
) (map[string]map[int32]kgo.Offset, error) {
	for topic, partitions := range given {
		for partition, committed := range partitions {
			isCommitted := committed.EpochOffset().Offset >= 0
			switch {
			case topic == placement.gaps:
				partitions[partition] = kgo.NewOffset().AtStart()
			case placement.start.partition >= 0 && placement.start.partition != partition:
				partitions[partition] = kgo.NewOffset().AtStart()
				placement.client.PauseFetchPartitions(map[string][]int32{topic: {partition}}) // One partition was asked for.
			case !isCommitted || placement.start.isGiven && !placement.placed[partition]:
				partitions[partition] = placement.start.at
			}
			if topic != placement.gaps {
				placement.placed[partition] = true
			}
		}
	}
	return given, nil
}
