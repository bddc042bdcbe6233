# SeesawLoss (arXiv 2008.10032) on the fine branch.
seesaw = dict(
    model=dict(
        roi_head=dict(
            bbox_head=dict(
                loss_cls=dict(
                    _of_='HierarchicalCrossEntropyLoss',
                    fine_loss=dict(_delete_=True, type='SeesawLoss'),
                )
            )
        )
    )
)
