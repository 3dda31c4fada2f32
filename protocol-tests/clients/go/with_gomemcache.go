// gomemcache, as Debian packages it: the text protocol.
package main

import (
	"bytes"
	"fmt"
	"os"
	"reflect"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

const patience = 30 * time.Second

var (
	large          = bytes.Repeat(everyByte(), 3000)
	passed, failed int
)

func everyByte() []byte {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	return all
}

func check(name string, got, expected interface{}) {
	if reflect.DeepEqual(got, expected) {
		passed++
		fmt.Println("ok", name)
	} else {
		failed++
		fmt.Printf("not ok %s: %.200v instead of %.200v\n", name, got, expected)
	}
}

// What a get says: the value, or the error's text.
func get(client *memcache.Client, key string) string {
	item, err := client.Get(key)
	if err != nil {
		return err.Error()
	}
	return string(item.Value)
}

// What comes with time, such as an expiry.
func eventuallyGone(name string, client *memcache.Client, key string) {
	miss := memcache.ErrCacheMiss.Error()
	for end := time.Now().Add(patience); get(client, key) != miss && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
	}
	check(name, get(client, key), miss)
}

func before(client *memcache.Client) {
	item := func(key, value string) *memcache.Item {
		return &memcache.Item{Key: key, Value: []byte(value), Flags: 7}
	}
	check("set", client.Set(item("k", "one")), nil)
	check("get", get(client, "k"), "one")
	check("get of nothing", get(client, "nothing"), memcache.ErrCacheMiss.Error())
	check("add to something", client.Add(item("k", "two")), memcache.ErrNotStored)
	check("add", client.Add(item("added", "two")), nil)
	check("replace of nothing", client.Replace(item("nothing", "x")), memcache.ErrNotStored)
	check("replace", client.Replace(item("added", "three")), nil)
	found, err := client.Get("k")
	check("flags", []interface{}{found.Flags, err}, []interface{}{uint32(7), nil})
	found.Value = []byte("1")
	check("cas", client.CompareAndSwap(found), nil)
	check("cas too late", client.CompareAndSwap(found), memcache.ErrCASConflict)
	count, err := client.Increment("k", 41)
	check("increment", []interface{}{count, err}, []interface{}{uint64(42), nil})
	count, err = client.Decrement("k", 50)
	check("decrement below 0", []interface{}{count, err}, []interface{}{uint64(0), nil})
	_, err = client.Increment("nothing", 1)
	check("increment of nothing", err, memcache.ErrCacheMiss)
	check("delete", client.Delete("k"), nil)
	check("delete of nothing", client.Delete("k"), memcache.ErrCacheMiss)
	keys, expected := []string{"nothing"}, map[string]string{}
	for i := 0; i < 100; i++ {
		key := fmt.Sprint("m", i)
		keys, expected[key] = append(keys, key), fmt.Sprint(i)
		if err := client.Set(item(key, expected[key])); err != nil {
			check("set of many", err, nil)
		}
	}
	many, err := client.GetMulti(keys)
	got := map[string]string{}
	for key, item := range many {
		got[key] = string(item.Value)
	}
	check("get of many", []interface{}{got, err}, []interface{}{expected, nil})
	check("a large value", client.Set(&memcache.Item{Key: "large", Value: large}), nil)
	check("its bytes", get(client, "large") == string(large), true)
	check("no value", []interface{}{client.Set(item("empty", "")), get(client, "empty")}, []interface{}{nil, ""})
	check("too large", client.Set(&memcache.Item{Key: "huge", Value: make([]byte, 2<<20)}) != nil, true)
	check("after a refusal", get(client, "m2"), "2")
	check("a key with a space", client.Set(item("a b", "v")), memcache.ErrMalformedKey)
	check("unicode", []interface{}{client.Set(item("s", "grüße, 世界")), get(client, "s")}, []interface{}{nil, "grüße, 世界"})
	check("expiry, present", client.Set(&memcache.Item{Key: "short", Value: []byte("v"), Expiration: 1}), nil)
	eventuallyGone("expiry, gone", client, "short")
	check("to be kept", client.Set(&memcache.Item{Key: "kept", Value: []byte("v"), Expiration: 3600}), nil)
	check("to be counted", client.Set(item("count", "41")), nil)
	check("to be large", client.Set(&memcache.Item{Key: "large", Value: large}), nil)
}

func after(client *memcache.Client) {
	check("kept", get(client, "kept"), "v")
	count, err := client.Increment("count", 1)
	check("counted", []interface{}{count, err}, []interface{}{uint64(42), nil})
	check("large", get(client, "large") == string(large), true)
	check("many", get(client, "m99"), "99")
	check("expired", get(client, "short"), memcache.ErrCacheMiss.Error())
	found, err := client.Get("kept")
	check("flags", []interface{}{found.Flags, err}, []interface{}{uint32(0), nil})
	check("cas", client.CompareAndSwap(found), nil)
}

func main() {
	client := memcache.New(os.Args[2] + ":" + os.Args[3])
	client.Timeout = time.Minute
	map[string]func(*memcache.Client){"before": before, "after": after}[os.Args[1]](client)
	// The package names no version; Debian's names its day.
	fmt.Println("version of 2014-11-09")
	fmt.Println(passed, "passed,", failed, "failed")
	if failed > 0 {
		os.Exit(1)
	}
}
