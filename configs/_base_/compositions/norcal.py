# Scores of rare classes, at test time: the coarse branch corrects the groups, then NorCal
# (arXiv 2107.02170) moves probability from frequent to rare classes within each group. All detections
# are kept, as rare classes have few scores above the usual threshold. The numbers were chosen on blood
# cells (docs/results.md, rbc12_choice).
norcal = dict(
    model=dict(
        roi_head=dict(
            bbox_head=dict(
                _of_='MultiGrainedBBoxHead',
                fusion=dict(
                    _delete_=True,
                    type='NorCal',
                    gamma=0.4,
                    within_groups=True,
                    fusion=dict(type='ConditionalFusion', gamma=0.25),
                ),
            )
        ),
        test_cfg=dict(rcnn=dict(score_thr=0.001, max_per_img=300)),
    )
)
