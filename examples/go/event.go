package main

import (
	"encoding/json"
	"fmt"
	"time"
)

const orderData = "urn:dropstream:schema:order-data:v1"

// Event is what this example needs of an order event. Fields that it does not know are passed over, a status that it
// does not know comes as the text that it is. What each field means stands in docs/topics.html.
type Event struct {
	ID          string
	Type        string
	Time        time.Time
	TimeQuality string
	Status      string // "" where the provider says none
	Replay      string // the replay that wrote it, "" at first
}

// readEvent reads the value of a record; a program made for version 1 must not guess what anything else means.
func readEvent(value []byte) (Event, error) {
	var read struct {
		SpecVersion string     `json:"specversion"`
		DataSchema  string     `json:"dataschema"`
		ID          string     `json:"id"`
		Type        string     `json:"type"`
		Time        *time.Time `json:"time"`
		TimeQuality string     `json:"timequality"`
		Replay      string     `json:"replay"`
		Data        struct {
			Status any `json:"status"`
		} `json:"data"`
	}
	if err := json.Unmarshal(value, &read); err != nil {
		return Event{}, fmt.Errorf("is no event: %w", err)
	}
	if read.SpecVersion != "1.0" || read.DataSchema != orderData {
		return Event{}, fmt.Errorf("is no order event of version 1, but %q", read.DataSchema)
	}
	if read.ID == "" || read.Type == "" || read.TimeQuality == "" || read.Time == nil {
		return Event{}, fmt.Errorf("is no event: id, type, time or timequality is missing")
	}
	status, _ := read.Data.Status.(string)
	return Event{read.ID, read.Type, *read.Time, read.TimeQuality, status, read.Replay}, nil
}

// uncertainty is how far from Time it may really have happened; false where Time is only when it was received.
func (event Event) uncertainty() (time.Duration, bool) {
	switch event.TimeQuality {
	case "exact":
		return 0, true
	case "ambiguous", "shifted":
		return time.Hour, true
	}
	return 0, false
}
