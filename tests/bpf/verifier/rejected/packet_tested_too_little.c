/* kind: packet | type: XDP
 * The test covers 8 bytes, the read needs 12. */
int rejected(struct xdp_md *ctx)
{
	u32 *data = (u32 *)(long)ctx->data;
	u32 *end = (u32 *)(long)ctx->data_end;

	if (data + 2 > end)
		return XDP_PASS;
	return data[2] ? XDP_DROP : XDP_PASS; /* rejected here */
}
