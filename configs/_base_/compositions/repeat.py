# Images of rare classes repeated (LVIS, arXiv 1908.03195). A class in the fraction f of the images
# comes max(1, sqrt(oversample_thr / f)) times as often.
repeat = dict(
    train_dataloader=dict(
        dataset=dict(
            _delete_=True,
            type='ClassBalancedDataset',
            oversample_thr=0.1,
            dataset=dict(_get_='train_dataloader.dataset'),
        )
    )
)
