/* kind: packet | type: XDP
 * The packet may be shorter. */
int rejected(struct xdp_md *ctx)
{
	u8 *data = (u8 *)(long)ctx->data;

	return data[0]; /* rejected here */
}
