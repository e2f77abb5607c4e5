/* kind: context | type: XDP
 * The interface cannot be changed by writing its number. */
int rejected(struct xdp_md *ctx)
{
	ctx->ingress_ifindex = 1; /* rejected here */
	return XDP_PASS;
}
