package main

import (
	"container/list"
	"time"
)

const (
	idsMax    = 100_000
	ordersMax = 100_000
)

// RecentIDs has the last 100,000 event ids (about 150 bytes each, 15 MB): it tells an event that came before, and one
// that a replay brings once more.
//
// It forgets with the process. A service that must never act twice keeps the id with what the event did, in one
// transaction of its own database.
type RecentIDs struct {
	ids   map[string]struct{}
	order []string // a ring, once it is full
	next  int
}

func newRecentIDs() *RecentIDs {
	return &RecentIDs{ids: map[string]struct{}{}}
}

// take says "new" where the id was not seen among the last ones, "again" where this replay brings it for the first time.
// Both are remembered from now on; anything else is a "repeat".
func (recent *RecentIDs) take(id, replay string) string {
	isNew := recent.isNew(id)
	isNewReplay := replay != "" && recent.isNew(id+" "+replay)
	switch {
	case isNew:
		return "new"
	case isNewReplay:
		return "again"
	}
	return "repeat"
}

func (recent *RecentIDs) isNew(id string) bool {
	if _, seen := recent.ids[id]; seen {
		return false
	}
	recent.ids[id] = struct{}{}
	if len(recent.order) < idsMax {
		recent.order = append(recent.order, id)
		return true
	}
	delete(recent.ids, recent.order[recent.next])
	recent.order[recent.next] = id
	recent.next = (recent.next + 1) % idsMax
	return true
}

// LastTimes has when each of the last 100,000 orders was newest for certain: it tells an event that came late.
//
// Events of one order come in the order in which the provider's deliveries arrived, and a late delivery tells of the
// past. Where either time is not known well enough to say so, the order of arrival counts.
type LastTimes struct {
	places map[string]*list.Element
	recent *list.List // of lastTime, the one that was used last in front
}

type lastTime struct {
	key      string
	earliest time.Time
}

func newLastTimes() *LastTimes {
	return &LastTimes{places: map[string]*list.Element{}, recent: list.New()}
}

// isLate says whether something newer of this order was there before, for certain.
func (times *LastTimes) isLate(key string, event Event) bool {
	uncertainty, known := event.uncertainty()
	if !known {
		return false
	}
	earliest := event.Time.Add(-uncertainty)
	place, found := times.places[key]
	if !found {
		times.places[key] = times.recent.PushFront(lastTime{key, earliest})
		if times.recent.Len() > ordersMax {
			delete(times.places, times.recent.Remove(times.recent.Back()).(lastTime).key)
		}
		return false
	}
	before := place.Value.(lastTime).earliest
	// What was certain stays so, be the next one as uncertain as it will.
	if earliest.After(before) {
		place.Value = lastTime{key, earliest}
	}
	times.recent.MoveToFront(place)
	return event.Time.Add(uncertainty).Before(before)
}
