// The strongest thing that a team would write instead: net/http and franz-go, 200 when all in-sync replicas have it.
//
// go_ingress PORT BOOTSTRAP_SERVERS TOPIC BODY_BYTES_MAX ENDPOINT=PROVIDER ...
package main

import (
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
)

const leftOut = " connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer " +
	"transfer-encoding upgrade authorization cookie "

func main() {
	port, servers, topic := os.Args[1], os.Args[2], os.Args[3]
	bytesMax, err := strconv.ParseInt(os.Args[4], 10, 64)
	check(err)
	providers := map[string]string{}
	for _, endpoint := range os.Args[5:] {
		name, provider, _ := strings.Cut(endpoint, "=")
		providers[name] = provider
	}
	// As ours: idempotent, nothing compressed, and no waiting for a fuller batch.
	kafka, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(servers, ",")...), kgo.DefaultProduceTopic(topic),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.NoCompression()))
	check(err)

	http.HandleFunc("POST /webhooks/{endpoint}", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("endpoint")
		provider, known := providers[name]
		if !known {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bytesMax))
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		id, receivedAt := uuid.Must(uuid.NewV7()).String(), time.Now().UTC()
		record := &kgo.Record{Key: []byte(name), Value: body, Timestamp: receivedAt}
		add := func(name, value string) {
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
		}
		for name, values := range r.Header {
			lower := strings.ToLower(name)
			if strings.Contains(leftOut, " "+lower+" ") || strings.HasPrefix(lower, "dropstream-") {
				continue
			}
			for _, value := range values {
				add(lower, value)
			}
		}
		add("dropstream-delivery", id)
		add("dropstream-provider", provider)
		add("dropstream-endpoint", name)
		add("dropstream-received-at", receivedAt.Format("2006-01-02T15:04:05.000000Z"))
		add("dropstream-remote", r.RemoteAddr)
		if err := kafka.ProduceSync(r.Context(), record).FirstErr(); err != nil {
			w.Header().Set("Retry-After", "5")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Dropstream-Delivery", id)
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+port, nil))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
