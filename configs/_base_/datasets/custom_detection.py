# Your own COCO files. Nothing to edit: set the keys with --cfg-options (data_root=...), in a config
# that has this one as its base, or in the environment:
#   data_root    MULTIGRAIN_DATA         folder of everything below   (default data/custom)
#   train_ann    MULTIGRAIN_TRAIN_ANN    training annotations         (default train.json)
#   val_ann      MULTIGRAIN_VAL_ANN      validation annotations       (default val.json)
#   test_ann     MULTIGRAIN_TEST_ANN     test annotations             (default val_ann)
#   images       MULTIGRAIN_IMAGES       folder of the images         (default photos/)
#   val_images   MULTIGRAIN_VAL_IMAGES   ... of validation and test   (default images)
#   taxonomy     MULTIGRAIN_TAXONOMY     a YAML file or built-in name (default: supercategories of
#                                        the training annotations)
_base_ = './coco_detection.py'
empty_photos = 'keep'
