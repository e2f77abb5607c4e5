// %%bpf e06 --no-attach
struct row {
    u32 pos;
    u8 cells[24];
};
BPF_ARRAY(rows, struct row, 1);

static noinline int cell_at(struct row *r, u32 pos)
{
    return r->cells[pos];
}

TRACEPOINT_PROBE(syscalls, sys_enter_write)
{
    int first = 0;
    struct row *r = rows.lookup(&first);
    if (!r)
        return 0;
    u32 pos = r->pos;
    if (pos > 30)
        return 0;
    return cell_at(r, pos);
}
