// Which operation comes before which, by vector clocks (Mattern 1988; FastTrack, Flanagan and Freund 2009).
//
// Each stream counts its operations, and a clock holds, for each stream, the last operation that is known to
// come before. An operation's clock is its stream's, joined with those of the events that the stream waits
// for and with the host's, which grows whenever the host waits. Two operations that touch the same bytes, one
// of them writing, and neither in the clock of the other, can run in either order on a GPU: that is reported
// when the second is queued, however they would have run here.
#include "standin.h"

Clock host_clock;

void clock_join(Clock *into, const Clock *from) {
    for (int slot = 0; slot < MAX_STREAMS; slot++)
        if (from->epochs[slot] > into->epochs[slot]) into->epochs[slot] = from->epochs[slot];
}

static bool before(const Touch *touch, const Clock *clock) {
    return touch->epoch <= clock->epochs[touch->slot];
}

static void remember(Allocation *a, Touch touch) {
    if (a->touch_count == a->touch_room) {
        a->touch_room = a->touch_room ? 2 * a->touch_room : 8;
        a->touches = realloc(a->touches, a->touch_room * sizeof *a->touches);
    }
    a->touches[a->touch_count++] = touch;
}

// Whatever comes is ordered after what the host waited for, and after a write that covers all of an older
// touch.
static void forget(Allocation *a, const Touch *newest, const Clock *clock) {
    int kept = 0;
    for (int i = 0; i < a->touch_count; i++) {
        const Touch *old = &a->touches[i];
        const bool covered = newest->from <= old->from && newest->to >= old->to && before(old, clock);
        const bool same_stream = covered && old->slot == newest->slot && old->writes <= newest->writes;
        if (before(old, &host_clock) || (covered && newest->writes) || same_stream) continue;
        a->touches[kept++] = *old;
    }
    a->touch_count = kept;
}

const char *order_pending(const Allocation *a) {
    for (int i = 0; i < a->touch_count; i++)
        if (!before(&a->touches[i], &host_clock)) return a->touches[i].who;
    return NULL;
}

void order_check(Access access, int slot, const Clock *clock, const char *who) {
    Allocation *a = memory_at(access.at);
    if (!a) return;
    Touch touch = {slot,          clock->epochs[slot], access.at, access.at + access.bytes,
                   access.writes, strdup(who)};
    for (int i = 0; i < a->touch_count; i++) {
        const Touch *old = &a->touches[i];
        if (old->to <= touch.from || old->from >= touch.to || !(old->writes || touch.writes)) continue;
        if (before(old, clock)) continue;
        report("race: '%s' %s memory %d of %zu bytes, which '%s' %s on another stream, with nothing that "
               "orders them",
               who, touch.writes ? "writes" : "reads", a->number, a->bytes, old->who,
               old->writes ? "writes" : "reads");
    }
    forget(a, &touch, clock);
    remember(a, touch);
}
