package admin

import (
	"cmp"
	"slices"

	dto "github.com/prometheus/client_model/go"

	"github.com/maru-msa/maru/telemetry"
)

// exposition collects metric families.
type exposition struct{ families []*dto.MetricFamily }

// family is one metric with its label names. A family without series is not
// shown.
type family struct {
	e      *exposition
	f      *dto.MetricFamily
	labels []string
	slab   []series
}

// maxLabels is the most labels that any family has.
const maxLabels = 4

// series is one line with everything that the exposition points to, so that a
// scrape of 30,000 lines makes a few large allocations instead of many small.
type series struct {
	metric  dto.Metric
	counter dto.Counter
	gauge   dto.Gauge
	number  float64
	values  [maxLabels]string
	pairs   [maxLabels]dto.LabelPair
	list    [maxLabels]*dto.LabelPair
}

const slabSize = 256

func (e *exposition) family(kind dto.MetricType, name, help string, labels []string) *family {
	return &family{e: e, f: &dto.MetricFamily{Name: &name, Help: &help, Type: &kind}, labels: labels}
}

func (e *exposition) counter(name, help string, labels ...string) *family {
	return e.family(dto.MetricType_COUNTER, name, help, labels)
}

func (e *exposition) gauge(name, help string, labels ...string) *family {
	return e.family(dto.MetricType_GAUGE, name, help, labels)
}

func (e *exposition) histogram(name, help string, labels ...string) *family {
	return e.family(dto.MetricType_HISTOGRAM, name, help, labels)
}

// series adds a line with its label values.
func (f *family) series(values []string) *series {
	if len(f.f.Metric) == 0 {
		f.e.families = append(f.e.families, f.f)
	}
	if len(f.slab) == 0 {
		f.slab = make([]series, min(max(4, len(f.f.Metric)), slabSize))
	}
	s := &f.slab[0]
	f.slab = f.slab[1:]
	for i := range f.labels {
		s.values[i] = values[i]
		s.pairs[i].Name, s.pairs[i].Value = &f.labels[i], &s.values[i]
		s.list[i] = &s.pairs[i]
	}
	s.metric.Label = s.list[:len(f.labels)]
	f.f.Metric = append(f.f.Metric, &s.metric)
	return s
}

// add adds a counter's or a gauge's value.
func (f *family) add(v float64, values ...string) {
	s := f.series(values)
	s.number = v
	if f.f.GetType() == dto.MetricType_COUNTER {
		s.counter.Value, s.metric.Counter = &s.number, &s.counter
		return
	}
	s.gauge.Value, s.metric.Gauge = &s.number, &s.gauge
}

// observe adds a histogram.
func (f *family) observe(c *telemetry.ServiceCounts, values ...string) {
	h := &dto.Histogram{SampleCount: &c.Count, SampleSum: &c.Sum}
	for bound, n := range c.Buckets {
		h.Bucket = append(h.Bucket, &dto.Bucket{UpperBound: &bound, CumulativeCount: &n})
	}
	slices.SortFunc(h.Bucket, func(a, b *dto.Bucket) int {
		return cmp.Compare(a.GetUpperBound(), b.GetUpperBound())
	})
	f.series(values).metric.Histogram = h
}

// labelled adds counters that come with their labels.
func (e *exposition) labelled(name, help string, counts []telemetry.Labelled, labels ...string) {
	slices.SortFunc(counts, func(a, b telemetry.Labelled) int { return slices.Compare(a.Labels, b.Labels) })
	f := e.counter(name, help, labels...)
	for _, c := range counts {
		values := slices.Clone(c.Labels)
		for len(values) < len(labels) { // the name that stands for too many
			values = append(values, "")
		}
		f.add(float64(c.N), values...)
	}
}
