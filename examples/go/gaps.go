package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

const runsShownMax = 10

// run is a run of sequence ids, both ends included.
type run struct{ first, last uint64 }

func (one run) String() string { return fmt.Sprintf("%d-%d", one.first, one.last) }

// Missing knows which sequence ids of each endpoint are missing, by all records of gaps from the beginning, in the order
// of offsets. Runs are kept as runs: a hole of a million ids takes the room of one.
type Missing struct{ runsOf map[string][]run }

func newMissing() *Missing { return &Missing{map[string][]run{}} }

// take takes the value of a record, and tells what it says and what is missing now.
func (missing *Missing) take(value []byte) (string, error) {
	var gap struct {
		Endpoint string  `json:"endpoint"`
		State    string  `json:"state"`
		First    *uint64 `json:"first"`
		Last     *uint64 `json:"last"`
	}
	if err := json.Unmarshal(value, &gap); err != nil {
		return "", fmt.Errorf("is no gap: %w", err)
	}
	if gap.Endpoint == "" || gap.State == "" || gap.First == nil || gap.Last == nil {
		return "", fmt.Errorf("is no gap: endpoint, state, first or last is missing")
	}
	named := run{*gap.First, *gap.Last}
	if named.first > named.last {
		return "", fmt.Errorf("ends before it begins")
	}
	runs := after(missing.runsOf[gap.Endpoint], gap.State, named)
	missing.runsOf[gap.Endpoint] = runs
	return fmt.Sprintf("gap %s %s %s, %s missing: %s", gap.Endpoint, gap.State, named, count(runs), shown(runs)), nil
}

func after(runs []run, state string, named run) []run {
	switch state {
	case "reset", "mixed": // With two counters on one endpoint nobody can know what is missing.
		return nil
	case "filled", "reconciled", "dismissed":
		return without(runs, named)
	case "open", "lost":
		joined := append(without(runs, named), named)
		slices.SortFunc(joined, func(a, b run) int { return cmp.Compare(a.first, b.first) })
		return joined
	}
	return runs // A word of tomorrow changes nothing that is known today.
}

func without(runs []run, taken run) []run {
	var kept []run
	for _, one := range runs {
		if one.first < taken.first {
			kept = append(kept, run{one.first, min(one.last, taken.first-1)})
		}
		if one.last > taken.last {
			kept = append(kept, run{max(one.first, taken.last+1), one.last})
		}
	}
	return kept
}

func count(runs []run) *big.Int {
	sum := new(big.Int)
	for _, one := range runs {
		sum.Add(sum, new(big.Int).SetUint64(one.last-one.first)).Add(sum, big.NewInt(1))
	}
	return sum
}

func shown(runs []run) string {
	if len(runs) == 0 {
		return "none"
	}
	var texts []string
	for _, one := range runs[:min(len(runs), runsShownMax)] {
		texts = append(texts, one.String())
	}
	return strings.Join(texts, " ")
}
