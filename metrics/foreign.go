package metrics

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
)

// Bounds of what a foreign stream may say.
const (
	mostLine    = 256 << 10
	mostName    = 256
	mostObjects = 5000 // of one instance
)

// errObject refuses what is no object of a board.
var errObject = errors.New("no object that boards know")

// readObjects reads a stream of server-sent events, as servers of all kinds write
// them: with or without the blank after "data:", with lines that are no field
// (Hystrix' "ping: "), several events at a time. heard is called for each line,
// take for each object. What can't be read is passed over and counted; only the
// end of r ends it.
func readObjects(r io.Reader, k *kinds, heard func(), take func(*object)) (bad int, err error) {
	in := bufio.NewReaderSize(r, 16<<10)
	var line []byte
	long := false
	for {
		part, err := in.ReadSlice('\n')
		if long = long || len(line)+len(part) > mostLine; !long {
			line = append(line, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return bad, err // what comes without its end is lost
		}
		heard()
		if data, isData := bytes.CutPrefix(line, []byte("data:")); long {
			bad++
		} else if isData {
			o, err := parseObject(bytes.TrimSpace(data), k)
			switch {
			case err == nil:
				take(o)
			case !errors.Is(err, errObject):
				bad++
			}
		}
		line, long = line[:0], false
	}
}

// parseObject reads one object. Keys that it lacks are 0 or "", numbers may be
// text, and keys that no board knows are left out. The error is errObject for
// what is JSON but nothing for a board.
func parseObject(data []byte, k *kinds) (*object, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, err
	}
	kind := k.named(textOf(fields["type"]))
	name := textOf(fields["name"])
	if kind == nil || name == "" {
		return nil, errObject
	}
	o := kind.object(name[:min(len(name), mostName)])
	for i := range kind.keys {
		key := &kind.keys[i]
		raw, ok := fields[key.name]
		if !ok || string(raw) == "null" {
			continue
		}
		switch key.rule {
		case word, breaker:
			o.words[kind.offsets[i]] = wordOf(raw, key)
		case nested:
			var parts map[string]json.RawMessage
			if json.Unmarshal(raw, &parts) != nil {
				continue
			}
			for p, part := range key.parts {
				o.numbers[kind.offsets[i]+p] = numberOf(parts[part])
			}
		case sum, newest, property, split:
			o.numbers[kind.offsets[i]] = numberOf(raw)
		}
	}
	if o.get("reportingHosts") < 1 {
		o.set("reportingHosts", 1)
	}
	return o, nil
}

// textOf is a JSON string's text, "" for anything else.
func textOf(raw json.RawMessage) string {
	var s string
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// numberOf is a number, or the one that a text holds; 0 for anything else.
func numberOf(raw json.RawMessage) int64 {
	text := string(raw)
	if len(raw) > 0 && raw[0] == '"' {
		text = strings.TrimSpace(textOf(raw))
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) {
		return 0
	}
	return whole(f)
}

// wordOf is a word as we write it. Truth may be text.
func wordOf(raw json.RawMessage, key *key) string {
	switch raw[0] {
	case '"':
		text := textOf(raw)
		if truth := text == "true" || text == "false"; truth && key.none != `""` {
			return text
		}
		return quoted(text[:min(len(text), mostName)])
	case 't', 'f':
		return string(raw)
	case '{', '[':
		return key.none
	}
	return strconv.FormatInt(numberOf(raw), 10)
}
