package edge

import (
	"context"
	"log/slog"
	"maps"
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// slogCore lets certmagic, which logs through zap, log to the house's log.
type slogCore struct{ log *slog.Logger }

func (c slogCore) zap() *zap.Logger { return zap.New(c) }

// Enabled tells whether the house's log takes the level.
func (c slogCore) Enabled(l zapcore.Level) bool {
	return c.log.Enabled(context.Background(), levelOf(l))
}

// With gives a core whose lines have the fields.
func (c slogCore) With(fields []zapcore.Field) zapcore.Core { //nolint:ireturn // as zapcore.Core has it
	return slogCore{c.log.With(attributes(fields)...)}
}

// Check adds the core to what will be written.
func (c slogCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

// Write writes one line.
func (c slogCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	c.log.Log(context.Background(), levelOf(e.Level), e.Message, attributes(fields)...) //nolint:sloglint // the message is another's
	return nil
}

// Sync has nothing to do.
func (slogCore) Sync() error { return nil }

func levelOf(l zapcore.Level) slog.Level {
	switch {
	case l < zapcore.InfoLevel:
		return slog.LevelDebug
	case l == zapcore.InfoLevel:
		return slog.LevelInfo
	case l == zapcore.WarnLevel:
		return slog.LevelWarn
	}
	return slog.LevelError
}

func attributes(fields []zapcore.Field) []any {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(enc)
	}
	out := make([]any, 0, len(enc.Fields))
	for _, name := range slices.Sorted(maps.Keys(enc.Fields)) {
		out = append(out, slog.Any(name, enc.Fields[name]))
	}
	return out
}
